//! Pulls from a registry on a loopback port that misbehaves one way at a time.

use super::manifest::{MAX_DOCUMENT, MAX_LAYERS_SIZE};
use super::*;
use crate::image::Image;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// How the registry misbehaves.
#[derive(Default)]
struct Manner {
    /// Answers by path.
    files: BTreeMap<String, Vec<u8>>,
    /// Statuses by path, instead of what is there.
    statuses: BTreeMap<String, u16>,
    /// The connection breaks after so many bytes, so many times.
    breaks: BTreeMap<String, (usize, u32)>,
    /// The registry ignores `Range`.
    no_ranges: bool,
    /// What `Authorization` must be, and the challenge when it is not.
    authorization: Option<(String, String)>,
    /// What `Authorization` must be for a token, which is "t".
    token: Option<String>,
    /// Paths asked for, with the start of the range.
    log: Vec<String>,
}

struct Registry {
    port: u16,
    manner: Arc<Mutex<Manner>>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Registry {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (manner, end) = (Arc::new(Mutex::new(Manner::default())), Arc::new(AtomicBool::new(false)));
        let (shared, ended) = (manner.clone(), end.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                // A client that goes away in the middle is part of some tests.
                let _ = answer(&stream.unwrap(), &mut shared.lock().unwrap());
            }
        });
        Self { port, manner, end, thread: Some(thread) }
    }

    fn put(&self, path: &str, bytes: &[u8]) {
        self.with(|manner| manner.files.insert(format!("/v2/r/{path}"), bytes.to_vec()));
    }

    fn blob(&self, bytes: &[u8]) -> Value {
        let digest = digest(bytes);
        self.put(&format!("blobs/{digest}"), bytes);
        json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": bytes.len()})
    }

    /// Put an image in, by digest and by tag.
    fn image(&self, tag: &str, layers: &[&[u8]]) -> Value {
        let config =
            json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}});
        let mut config = self.blob(config.to_string().as_bytes());
        config["mediaType"] = "application/vnd.oci.image.config.v1+json".into();
        let layers: Vec<_> = layers.iter().map(|bytes| self.blob(bytes)).collect();
        self.document(
            tag,
            &json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}),
        )
    }

    fn document(&self, tag: &str, document: &Value) -> Value {
        let bytes = document.to_string().into_bytes();
        let digest = digest(&bytes);
        self.put(&format!("manifests/{digest}"), &bytes);
        self.put(&format!("manifests/{tag}"), &bytes);
        json!({"mediaType": document["mediaType"], "digest": digest, "size": bytes.len()})
    }

    fn with<T>(&self, change: impl FnOnce(&mut Manner) -> T) -> T {
        change(&mut self.manner.lock().unwrap())
    }

    fn log(&self) -> Vec<String> {
        self.with(|manner| std::mem::take(&mut manner.log))
    }

    fn name(&self, rest: &str) -> String {
        format!("127.0.0.1:{}/r{rest}", self.port)
    }

    fn stop(&mut self) {
        self.end.store(true, Ordering::SeqCst);
        // Wakes the accept; the listener is gone once the thread is.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
    }
}

fn answer(mut stream: &TcpStream, manner: &mut Manner) -> io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = BTreeMap::new();
    for line in lines {
        match line?.split_once(": ") {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.to_owned()),
            None => break,
        };
    }
    let start: usize = headers
        .get("range")
        .filter(|_| !manner.no_ranges)
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok())
        .unwrap_or(0);
    manner.log.push(if start > 0 { format!("{path} from {start}") } else { path.clone() });
    let reply = |mut stream: &TcpStream, status: u16, more: &str| {
        write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n{more}\r\n")
    };
    if path.starts_with("/token") {
        let right = manner.token.is_none() || manner.token.as_ref() == headers.get("authorization");
        let body = r#"{"token":"t"}"#;
        return if right {
            write!(
                stream,
                "HTTP/1.1 200 X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            )
        } else {
            reply(stream, 401, "")
        };
    }
    if let Some((expected, challenge)) = &manner.authorization
        && headers.get("authorization") != Some(expected)
    {
        return reply(stream, 401, &format!("WWW-Authenticate: {challenge}\r\n"));
    }
    if let Some(status) = manner.statuses.get(&path) {
        return reply(stream, *status, "");
    }
    if path == "/v2/" {
        return reply(stream, 200, "");
    }
    let Some(bytes) = manner.files.get(&path) else {
        return reply(stream, 404, "");
    };
    let (status, rest) = if start > 0 { (206, &bytes[start..]) } else { (200, &bytes[..]) };
    let mut end = rest.len();
    if let Some((after, times)) = manner.breaks.get_mut(&path)
        && *times > 0
    {
        *times -= 1;
        end = end.min(*after);
    }
    write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", rest.len())?;
    stream.write_all(&rest[..end])
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn pull(&self, name: &str) -> Result<Pulled, RegistryError> {
        let options = Options {
            cache: self.0.path().join("cache"),
            docker_config: Some(self.0.path().join("config.json")),
            insecure: false,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(pull(&name.parse().unwrap(), &options, &mut Ui::new(false, true)))
    }

    fn blob(&self, digest: &str) -> PathBuf {
        self.0.path().join("cache/blobs/sha256").join(digest.strip_prefix("sha256:").unwrap())
    }

    fn log_in(&self, registry: &Registry) {
        // "u:p"
        let config = json!({"auths": {format!("127.0.0.1:{}", registry.port): {"auth": "dTpw"}}});
        std::fs::write(self.0.path().join("config.json"), config.to_string()).unwrap();
    }
}

fn text(value: &Value) -> &str {
    value["digest"].as_str().unwrap()
}

#[test]
fn a_tag_becomes_a_layout_with_its_manifests_digest() {
    let (registry, place) = (Registry::start(), Place::new());
    let manifest = registry.image("1", &[&[1; 3000], &[2; 10], &[1; 3000], &[]]);
    let pulled = place.pull(&registry.name(":1")).unwrap();
    assert_eq!(pulled.reference, registry.name(&format!("@{}", text(&manifest))));
    let mut image = Image::open(&pulled.layout).unwrap();
    assert_eq!(image.digest.to_string(), text(&manifest));
    image.write_disk(&place.0.path().join("disk")).unwrap();
    assert_eq!(std::fs::read_dir(place.0.path().join("cache/partial")).unwrap().count(), 0);

    let out = place.0.path().join("out");
    export(&pulled.layout, &out).unwrap();
    Image::open(&out).unwrap().write_disk(&place.0.path().join("disk")).unwrap();
    assert!(matches!(export(&pulled.layout, &out), Err(RegistryError::Cache { .. })));
}

#[test]
fn an_index_leads_to_the_platforms_manifest() {
    let (registry, place) = (Registry::start(), Place::new());
    let (arm, amd, v3) =
        (registry.image("a", &[&[1]]), registry.image("b", &[&[2]]), registry.image("c", &[&[3]]));
    let with = |mut d: Value, platform: Value| {
        d["platform"] = platform;
        d
    };
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.list.v2+json", "manifests": [
        with(arm.clone(), json!({"os": "linux", "architecture": "arm64"})),
        with(v3, json!({"os": "linux", "architecture": "amd64", "variant": "v3"})),
        with(amd.clone(), json!({"os": "linux", "architecture": "amd64"})),
    ]});
    let index = registry.document("multi", &index);
    for name in [":multi".to_owned(), format!("@{}", text(&index))] {
        let pulled = place.pull(&registry.name(&name)).unwrap();
        assert_eq!(Image::open(&pulled.layout).unwrap().digest.to_string(), text(&amd), "{name}");
    }
    let other = json!({"schemaVersion": 2, "manifests": [with(arm, json!({"os": "linux", "architecture": "arm64"}))]});
    registry.document("arm", &other);
    assert!(matches!(place.pull(&registry.name(":arm")), Err(RegistryError::Platform { .. })));
    registry.document("both", &json!({"schemaVersion": 2, "manifests": [], "layers": []}));
    assert!(matches!(place.pull(&registry.name(":both")), Err(RegistryError::Syntax { .. })));
}

#[test]
fn what_has_another_digest_is_refused_and_not_kept() {
    let (registry, place) = (Registry::start(), Place::new());
    let manifest = registry.image("1", &[&[1; 3000]]);
    let layer = digest(&[1; 3000]).to_string();
    registry.put(&format!("blobs/{layer}"), &[2; 3000]);
    for _ in 0..2 {
        let error = place.pull(&registry.name(":1")).unwrap_err();
        assert!(
            matches!(&error, RegistryError::Digest { expected, .. } if expected.to_string() == layer),
            "{error}"
        );
    }
    registry.put(&format!("blobs/{layer}"), &[1; 3001]);
    let error = place.pull(&registry.name(":1")).unwrap_err();
    assert!(matches!(error, RegistryError::TooLong { expected: 3000, .. }), "{error}");
    assert!(!place.blob(&layer).exists());
    registry.put(&format!("blobs/{layer}"), &[1; 3000]);
    place.pull(&registry.name(":1")).unwrap();

    let place = Place::new();
    registry.put(&format!("manifests/{}", text(&manifest)), b"{}");
    let error = place.pull(&registry.name(&format!("@{}", text(&manifest)))).unwrap_err();
    assert!(matches!(error, RegistryError::Digest { .. }), "{error}");
}

#[test]
fn a_broken_connection_is_resumed_where_it_broke() {
    let (registry, place) = (Registry::start(), Place::new());
    registry.image("1", &[&[1; 3000]]);
    let path = format!("/v2/r/blobs/{}", digest(&[1; 3000]));
    registry.with(|manner| manner.breaks.insert(path.clone(), (1000, 2)));
    place.pull(&registry.name(":1")).unwrap();
    let asked: Vec<_> = registry.log().into_iter().filter(|line| line.starts_with(&path)).collect();
    assert_eq!(asked, [path.clone(), format!("{path} from 1000"), format!("{path} from 2000")]);

    // The next process goes on as well, unless the registry has no ranges: then it starts over.
    let place = Place::new();
    registry.with(|manner| manner.breaks.insert(path.clone(), (500, ATTEMPTS)));
    let error = place.pull(&registry.name(":1")).unwrap_err();
    assert!(matches!(error, RegistryError::Truncated { expected: 3000, found: 2000, .. }), "{error}");
    registry.with(|manner| manner.no_ranges = true);
    place.pull(&registry.name(":1")).unwrap();
}

#[test]
fn a_damaged_part_does_not_stay() {
    let (registry, place) = (Registry::start(), Place::new());
    registry.image("1", &[&[1; 3000]]);
    let layer = digest(&[1; 3000]);
    let partial = place.0.path().join("cache/partial").join(layer.0.to_string());
    for damage in [vec![9; 1000], vec![9; 3000], vec![9; 4000]] {
        std::fs::create_dir_all(partial.parent().unwrap()).unwrap();
        let _ = std::fs::remove_file(place.blob(&layer.to_string()));
        std::fs::write(&partial, &damage).unwrap();
        place.pull(&registry.name(":1")).unwrap();
    }
}

#[test]
fn refusals_are_told_apart() {
    let (registry, place) = (Registry::start(), Place::new());
    registry.image("1", &[&[1; 3000]]);
    let blob = format!("/v2/r/blobs/{}", digest(&[1; 3000]));
    let missing = place.pull(&registry.name(":no")).unwrap_err();
    assert!(
        matches!(&missing, RegistryError::Missing { what, .. } if what == "manifest no of r"),
        "{missing}"
    );
    for (path, status) in [("/v2/r/manifests/1", 503), (&*blob, 404), (&*blob, 403), (&*blob, 500)] {
        registry.with(|manner| manner.statuses = BTreeMap::from([(path.to_owned(), status)]));
        let error = place.pull(&registry.name(":1")).unwrap_err();
        let right = match status {
            404 => matches!(error, RegistryError::Missing { .. }),
            403 => matches!(error, RegistryError::Unauthorized { .. }),
            _ => matches!(error, RegistryError::Answer { .. }),
        };
        assert!(right, "{path} {status}: {error}");
    }
}

#[test]
fn credentials_are_given_when_asked_for() {
    let basic = ("Basic dTpw".to_owned(), "Basic realm=\"x\"".to_owned());
    let (registry, place) = (Registry::start(), Place::new());
    registry.image("1", &[&[1; 3000]]);
    registry.with(|manner| manner.authorization = Some(basic));
    let error = place.pull(&registry.name(":1")).unwrap_err();
    assert!(matches!(&error, RegistryError::Unauthorized { who, .. } if who == "anonymous users"), "{error}");
    place.log_in(&registry);
    place.pull(&registry.name(":1")).unwrap();

    // A token, as large registries have it.
    let (registry, place) = (Registry::start(), Place::new());
    registry.image("1", &[&[1; 3000]]);
    let challenge = format!("Bearer realm=\"http://127.0.0.1:{}/token\",service=\"x\"", registry.port);
    registry.with(|manner| manner.authorization = Some(("Bearer t".to_owned(), challenge)));
    registry.with(|manner| manner.token = Some("Basic dTpw".to_owned()));
    assert!(matches!(place.pull(&registry.name(":1")), Err(RegistryError::Unauthorized { .. })));
    place.log_in(&registry);
    place.pull(&registry.name(":1")).unwrap();
}

#[test]
fn sizes_are_bounded_before_anything_is_brought() {
    let (registry, place) = (Registry::start(), Place::new());
    registry.put("manifests/long", &vec![b' '; MAX_MANIFEST as usize + 1]);
    let error = place.pull(&registry.name(":long")).unwrap_err();
    assert!(matches!(error, RegistryError::TooLong { expected: MAX_MANIFEST, .. }), "{error}");
    let blob = |size: u64| json!({"mediaType": "x", "digest": digest(b""), "size": size});
    let image = |config: u64, layers: &[u64]| {
        let layers: Vec<_> = layers.iter().map(|size| blob(*size)).collect();
        json!({"schemaVersion": 2, "config": blob(config), "layers": layers})
    };
    registry.document("config", &image(MAX_DOCUMENT + 1, &[]));
    assert!(matches!(place.pull(&registry.name(":config")), Err(RegistryError::TooLong { .. })));
    registry.document("layers", &image(1, &[MAX_LAYERS_SIZE, 1]));
    assert!(matches!(place.pull(&registry.name(":layers")), Err(RegistryError::Budget { .. })));
    registry.document("many", &image(1, &[1; crate::image::MAX_LAYERS + 1]));
    assert!(matches!(place.pull(&registry.name(":many")), Err(RegistryError::Syntax { .. })));
    assert!(registry.log().iter().all(|path| !path.contains("/blobs/")));
}

#[test]
fn a_digest_in_the_cache_needs_no_registry_and_a_tag_does() {
    let (mut registry, place) = (Registry::start(), Place::new());
    let manifest = registry.image("1", &[&[1; 3000]]);
    let first = place.pull(&registry.name(":1")).unwrap();
    registry.log();
    let by_digest = registry.name(&format!("@{}", text(&manifest)));
    assert_eq!(place.pull(&by_digest).unwrap().layout, first.layout);
    assert!(registry.log().is_empty());
    // The tag is asked for, the blobs are not.
    place.pull(&registry.name(":1")).unwrap();
    assert_eq!(registry.log(), ["/v2/", "/v2/r/manifests/1"]);

    let name = registry.name(":1");
    registry.stop();
    let error = place.pull(&name).unwrap_err();
    assert!(
        matches!(&error, RegistryError::Unreachable { hint, .. } if hint.contains(&by_digest)),
        "{error}"
    );
    assert_eq!(place.pull(&by_digest).unwrap().layout, first.layout);
    let other = place.pull(&registry.name(":2"));
    assert!(matches!(other, Err(RegistryError::Unreachable { .. })));
}

#[test]
fn damage_in_the_cache_is_repaired() {
    let (registry, place) = (Registry::start(), Place::new());
    let manifest = registry.image("1", &[&[1; 3000]]);
    let pulled = place.pull(&registry.name(":1")).unwrap();
    for blob in [digest(&[1; 3000]).to_string(), text(&manifest).to_owned()] {
        let mut bytes = std::fs::read(place.blob(&blob)).unwrap();
        bytes[7] ^= 1;
        std::fs::write(place.blob(&blob), bytes).unwrap();
        place.pull(&registry.name(&format!("@{}", text(&manifest)))).unwrap();
        // The layout has the new file, too.
        Image::open(&pulled.layout).unwrap().write_disk(&place.0.path().join("disk")).unwrap();
    }
}

#[test]
fn two_pulls_of_one_blob_wait_for_each_other() {
    let place = Place::new();
    let open = || Cache::open(&place.0.path().join("cache")).unwrap();
    let blob = digest(b"xy");
    let (cache, other) = (open(), open());
    let mut first = cache.partial(blob, 2, || panic!("nobody to wait for")).unwrap();
    let (told, waits) = std::sync::mpsc::channel();
    let second = std::thread::spawn(move || {
        let _partial = other.partial(blob, 2, || told.send(()).unwrap()).unwrap();
        other.holds(blob, 2).unwrap()
    });
    waits.recv().unwrap();
    first.append(b"xy").unwrap();
    assert_eq!(cache.finish(&mut first, blob).unwrap(), None);
    drop(first);
    assert!(second.join().unwrap());
}

use super::*;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpListener;

/// A mirror on the loopback interface that serves `files` and honours `Range`, until the test ends.
fn serve(files: BTreeMap<String, Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                request.push(byte[0]);
            }
            let request = String::from_utf8_lossy(&request).into_owned();
            let path = request.split(' ').nth(1).unwrap_or_default();
            let answer = match files.get(path) {
                None => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec(),
                Some(content) => {
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                        content.len()
                    );
                    [head.as_bytes(), content].concat()
                }
            };
            let _ = stream.write_all(&answer);
        }
    });
    format!("http://{address}")
}

fn package(content: &[u8]) -> Package {
    Package {
        wanted: "thing".into(),
        name: "thing".into(),
        version: "1.0-1".into(),
        suite: "trixie".into(),
        size: content.len() as u64,
        sha256: HexArray(Sha256::digest(content).into()),
        path: "pool/thing_1.0-1_amd64.deb".into(),
    }
}

fn fetcher(cache: &Path, mirror: &str, snapshot: &str) -> Fetcher {
    Fetcher::new(Apt::new(cache, mirror), cache, snapshot, true)
}

#[test]
fn a_package_comes_from_the_mirror_and_then_from_the_cache() {
    let cache = tempfile::tempdir().unwrap();
    let url = serve(BTreeMap::from([("/pool/thing_1.0-1_amd64.deb".into(), b"content".to_vec())]));
    let path = fetcher(cache.path(), &url, &url).fetch(&package(b"content")).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"content");
    // Nobody listens there: only the cache can answer.
    let offline = fetcher(cache.path(), "http://127.0.0.1:9", "http://127.0.0.1:9");
    assert_eq!(offline.fetch(&package(b"content")).unwrap(), path);
}

#[test]
fn other_bytes_than_were_locked_are_refused() {
    let cache = tempfile::tempdir().unwrap();
    let url = serve(BTreeMap::from([("/pool/thing_1.0-1_amd64.deb".into(), b"evil".to_vec())]));
    let error = fetcher(cache.path(), &url, &url).fetch(&package(b"content")).unwrap_err();
    assert!(matches!(error, FetchError::Digest { .. }), "{error}");
}

#[test]
fn a_package_that_left_the_pool_is_found_in_the_snapshot_archive() {
    let cache = tempfile::tempdir().unwrap();
    let hash = "0123456789abcdef0123456789abcdef01234567";
    let answer = format!(
        r#"{{"result": [{{"architecture": "arm64", "hash": "x"}}, {{"architecture": "amd64", "hash": "{hash}"}}]}}"#
    );
    let url = serve(BTreeMap::from([
        ("/mr/binary/thing/1.0-1/binfiles".into(), answer.into_bytes()),
        (format!("/file/{hash}"), b"content".to_vec()),
    ]));
    let path = fetcher(cache.path(), &url, &url).fetch(&package(b"content")).unwrap();
    assert_eq!(fs::read(path).unwrap(), b"content");
}

#[test]
fn a_package_that_is_nowhere_is_a_clear_error() {
    let cache = tempfile::tempdir().unwrap();
    let url = serve(BTreeMap::new());
    let error = fetcher(cache.path(), &url, &url).fetch(&package(b"content")).unwrap_err();
    let FetchError::Gone { name, .. } = &error else { panic!("{error}") };
    assert_eq!(name, "thing");
    assert!(error.to_string().contains("sealpod-images update"), "{error}");
}

#[test]
fn rubbish_left_by_an_earlier_run_does_not_stay_in_the_way() {
    let cache = tempfile::tempdir().unwrap();
    let wanted = package(b"content");
    fs::create_dir_all(cache.path().join("packages")).unwrap();
    fs::write(cache.path().join(format!("packages/{}.part", wanted.sha256)), b"other stuff").unwrap();
    fs::write(cache.path().join(format!("packages/{}.deb", wanted.sha256)), b"spoiled").unwrap();
    let url = serve(BTreeMap::from([("/pool/thing_1.0-1_amd64.deb".into(), b"content".to_vec())]));
    let path = fetcher(cache.path(), &url, &url).fetch(&wanted).unwrap();
    assert_eq!(fs::read(path).unwrap(), b"content");
}

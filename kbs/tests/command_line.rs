//! The program itself: what it prints, what it refuses, and that nothing is lost when it is killed.

use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

struct Broker {
    _directory: tempfile::TempDir,
    path: PathBuf,
}

impl Broker {
    fn init() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kbs");
        let broker = Self { _directory: directory, path };
        broker.ok(&["init", "--tls-name", "localhost"]);
        broker
    }

    fn run(&self, arguments: &[&str]) -> Output {
        program().args(arguments).arg("--dir").arg(&self.path).output().unwrap()
    }

    #[track_caller]
    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Assert this exit code and one line on standard error.
    #[track_caller]
    fn fails(&self, arguments: &[&str], code: i32) -> String {
        let output = self.run(arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
        text
    }

    fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.path.join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn serve(&self) -> Server {
        let mut child = program()
            .args(["serve", "--listen", "127.0.0.1:0", "--dir"])
            .arg(&self.path)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").expect("the address").to_owned();
        Server { child, address }
    }

    fn audit(&self) -> Vec<Value> {
        let text = self.ok(&["audit", "show", "--json"]);
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

struct Server {
    child: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_sealpod-kbs"))
}

fn secrets(broker: &Broker) -> Vec<String> {
    broker.ok(&["secret", "list"]).lines().map(str::to_owned).collect()
}

#[test]
fn the_owner_works_beside_a_running_server_and_a_kill_loses_nothing() {
    let broker = Broker::init();
    let file = broker.file("secret", b"s");
    broker.ok(&["secret", "set", "a/b/before", "--file", &file]);
    let mut server = broker.serve();
    broker.ok(&["secret", "set", "a/b/beside", "--file", &file]);
    TcpStream::connect(&server.address).unwrap();
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    assert_eq!(secrets(&broker), ["a/b/before", "a/b/beside"]);
    drop(broker.serve());
    broker.ok(&["secret", "delete", "a/b/before"]);
    assert_eq!(secrets(&broker), ["a/b/beside"]);
    let actions: Vec<_> =
        broker.audit().iter().map(|line| line["action"].as_str().unwrap().to_owned()).collect();
    assert_eq!(actions, ["policy-set", "secret-set", "secret-set", "secret-delete"]);
}

#[test]
fn the_server_ends_in_order_on_a_signal() {
    let broker = Broker::init();
    let mut server = broker.serve();
    let pid = server.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(server.child.wait().unwrap().success());
    assert!(TcpStream::connect(&server.address).is_err());
}

#[test]
fn init_never_overwrites() {
    let broker = Broker::init();
    let kek = std::fs::read(broker.path.join("kek.bin")).unwrap();
    assert!(broker.fails(&["init", "--tls-name", "x"], 1).contains("never overwritten"));
    assert_eq!(std::fs::read(broker.path.join("kek.bin")).unwrap(), kek);
}

#[test]
fn mistakes_are_told_in_one_line_with_what_to_do() {
    let broker = Broker::init();
    let bad = broker.file("bad", b"{");
    assert!(broker.fails(&["secret", "delete", "a/b/c"], 1).contains("secret list"));
    assert!(broker.fails(&["secret", "set", "a/b/c", "--file", "/nonexistent"], 1).contains("/nonexistent"));
    assert!(broker.fails(&["policy", "set", &bad], 1).contains("does not parse"));
    assert!(broker.fails(&["reference", "add", &bad], 1).contains("bad"));
    assert!(broker.fails(&["reference", "remove", "00"], 1).contains("reference list"));
    assert!(broker.fails(&["evidence", "show", "00"], 1).contains("evidence list"));
    assert!(broker.fails(&["evidence", "show", "../../kek.bin"], 1).contains("expected a name"));
    let config = std::fs::read_to_string(broker.path.join("config.toml")).unwrap();
    broker.file("config.toml", format!("surprise = 1\n{config}").as_bytes());
    assert!(broker.fails(&["serve"], 1).contains("surprise"));
    let server = {
        broker.file("config.toml", config.as_bytes());
        broker.serve()
    };
    assert!(broker.fails(&["serve", "--listen", "127.0.0.1:0"], 1).contains("another server"));
    drop(server);
    let nowhere =
        Broker { _directory: tempfile::tempdir().unwrap(), path: Path::new("/nonexistent").to_owned() };
    assert!(nowhere.fails(&["serve"], 1).contains("sealpod-kbs init"));
}

#[test]
fn a_dangerous_setting_is_announced_in_one_line() {
    let broker = Broker::init();
    let root = broker.file("root.der", sealpod_testkit::pki::ark_der());
    let config = std::fs::read_to_string(broker.path.join("config.toml")).unwrap();
    let setting = format!("dangerous_trust_test_root = {root:?}\n{config}");
    broker.file("config.toml", setting.as_bytes());
    let mut server = broker.serve();
    server.child.kill().unwrap();
    let mut text = String::new();
    server.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("DANGEROUS") && text.contains("root.der"), "{text}");
}

#[test]
fn nothing_that_is_made_is_for_others_whatever_the_umask() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new/kbs");
    let script = format!(
        "umask 000; k={}; d={}; $k init --tls-name localhost --dir $d && printf s | $k secret set a/b/c --file - --dir $d",
        env!("CARGO_BIN_EXE_sealpod-kbs"),
        path.display()
    );
    assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
    let broker = Broker { _directory: directory, path };
    drop(broker.serve());
    let mut left = vec![broker.path.parent().unwrap().to_owned()];
    while let Some(path) = left.pop() {
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{} {mode:o}", path.display());
        if path.is_dir() {
            left.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
}

#[test]
fn a_key_that_others_may_read_and_a_policy_without_conditions_are_announced() {
    let broker = Broker::init();
    let open = broker.path.join("kek.bin");
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).unwrap();
    let policy = broker.file("yes.rego", b"package policy\ndefault allow = true\n");
    let told = String::from_utf8(broker.run(&["policy", "set", &policy]).stderr).unwrap();
    assert!(told.contains("DANGEROUS: the release policy says yes without any claim"), "{told}");
    let mut server = broker.serve();
    server.child.kill().unwrap();
    let mut text = String::new();
    server.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.contains("kek.bin has mode 0644, others may use this key"), "{text}");
    assert!(text.contains(&told), "{text}");
}

#[test]
fn no_server_is_announced_that_cannot_serve() {
    let broker = Broker::init();
    std::fs::copy(broker.path.join("ca-key.pem"), broker.path.join("server-key.pem")).unwrap();
    let output = broker.run(&["serve", "--listen", "127.0.0.1:0"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]), "{text}");
    assert!(text.contains("KeyMismatch"), "{text}");
}

#[test]
fn more_connections_than_files_are_announced() {
    let broker = Broker::init();
    // A port that is taken ends the server after its warnings.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let script = format!(
        "ulimit -n 256; exec {} serve --listen {} --dir {}",
        env!("CARGO_BIN_EXE_sealpod-kbs"),
        taken.local_addr().unwrap(),
        broker.path.display()
    );
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("max_connections is 768, but only 256 files may be open"), "{text}");
}

#[test]
fn policy_and_reference_values_are_kept_as_they_were_given() {
    let broker = Broker::init();
    assert!(broker.ok(&["policy", "show"]).contains("default allow := false"));
    let policy = "package policy\nallow := false\n";
    let file = broker.file("p.rego", policy.as_bytes());
    broker.ok(&["policy", "set", &file]);
    assert_eq!(broker.ok(&["policy", "show"]), policy);
    let mut document = sealpod_testkit::Bundle::valid().reference();
    document.description = "one\n\u{1b}[2Jline".to_owned();
    let document = serde_json::to_vec(&document).unwrap();
    let file = broker.file("r.json", &document);
    let id = broker.ok(&["reference", "add", &file]).split(' ').next().unwrap().to_owned();
    assert_eq!(broker.ok(&["reference", "add", &file]).split(' ').next(), Some(id.as_str()));
    let list = broker.ok(&["reference", "list"]);
    assert_eq!(list, format!("{id}  one\u{fffd}\u{fffd}[2Jline\n"));
    broker.ok(&["reference", "remove", &id]);
    assert_eq!(broker.ok(&["reference", "list"]), "");
    assert_eq!(broker.ok(&["evidence", "list"]), "");
}

#[test]
fn an_altered_audit_log_is_reported_with_its_own_exit_code() {
    let broker = Broker::init();
    let file = broker.file("secret", b"s");
    (0..3).for_each(|i| drop(broker.ok(&["secret", "set", &format!("a/b/{i}"), "--file", &file])));
    assert_eq!(broker.ok(&["audit", "show"]).lines().count(), 4);
    let path = broker.path.join("audit.jsonl");
    let text = std::fs::read_to_string(&path).unwrap().replace("a/b/1", "a/b/9");
    std::fs::write(&path, text).unwrap();
    assert!(broker.fails(&["audit", "show"], 3).contains("line 4"));
}

#[test]
fn a_secret_can_come_from_standard_input_and_no_token_is_given_without_its_key() {
    let broker = Broker::init();
    let mut child = program()
        .args(["secret", "set", "a/b/c", "--file", "-", "--dir"])
        .arg(&broker.path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"from a pipe").unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(secrets(&broker), ["a/b/c"]);
    assert_eq!(broker.ok(&["admin-token"]).trim().split('.').count(), 3);
    std::fs::remove_file(broker.path.join("admin-key.der")).unwrap();
    assert!(broker.fails(&["admin-token"], 1).contains("admin-key.der"));
    // The server does not need that key.
    drop(broker.serve());
    assert!(broker.ok(&["completions", "bash"]).contains("sealpod-kbs"));
}

#[test]
fn a_document_is_packed_and_its_sets_are_kept_beside_the_store() {
    let broker = Broker::init();
    let files: serde_json::Map<String, Value> =
        (0..1000).map(|at| (format!("/usr/lib/{at}"), vec![format!("{at:064x}")].into())).collect();
    let document = serde_json::json!({
        "version": 1,
        "description": "an image",
        "files": [{"image": format!("sha256:{}", "a5".repeat(32)), "description": "its files", "files": files}],
    });
    let document = broker.file("image.json", document.to_string().as_bytes());
    let output = broker.path.join("out");
    let output = output.to_str().unwrap();
    let printed = broker.ok(&["reference", "pack", &document, "--output-dir", output]);
    let [set, packed] = printed.lines().collect::<Vec<_>>().try_into().unwrap();
    assert!(std::fs::metadata(set).unwrap().len() < 40_000);
    let small: Value = serde_json::from_slice(&std::fs::read(packed).unwrap()).unwrap();
    assert_eq!(
        (small.get("files"), &small["packed_files"][0]["description"]),
        (None, &Value::from("its files"))
    );

    // The document without its set says so, and goes on.
    broker.ok(&["reference", "add", packed]);
    let mut server = broker.serve();
    server.child.kill().unwrap();
    let mut warnings = String::new();
    server.child.stderr.take().unwrap().read_to_string(&mut warnings).unwrap();
    assert!(warnings.contains("none of the files of packed set"), "{warnings}");
    broker.ok(&["reference", "add", set]);
    let mut server = broker.serve();
    server.child.kill().unwrap();
    let mut warnings = String::new();
    server.child.stderr.take().unwrap().read_to_string(&mut warnings).unwrap();
    assert!(!warnings.contains("packed set"), "{warnings}");

    let mut spoiled = std::fs::read(set).unwrap();
    *spoiled.last_mut().unwrap() ^= 1;
    let spoiled = broker.file("spoiled", &spoiled);
    assert!(broker.fails(&["reference", "add", &spoiled], 1).contains("checksum"));
    let actions: Vec<_> =
        broker.audit().iter().map(|line| line["action"].as_str().unwrap().to_owned()).collect();
    assert_eq!(actions, ["policy-set", "reference-add", "packed-add"]);
}

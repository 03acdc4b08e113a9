//! Credentials as `docker login` writes them. Helpers (`credsStore`, `credHelpers`) are not started.

use super::RegistryError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oci_client::Reference;
use oci_client::secrets::RegistryAuth;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// The file is some hundred bytes.
const MAX_CONFIG: u64 = 1024 * 1024;

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    auth: String,
}

/// What the file has for the registry; anonymous when there is no file or nothing in it.
pub fn find(config: Option<&Path>, reference: &Reference) -> Result<RegistryAuth, RegistryError> {
    let Some(path) = config else {
        return Ok(RegistryAuth::Anonymous);
    };
    let error = |message: String| RegistryError::Credentials { path: path.to_owned(), message };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(RegistryAuth::Anonymous),
        Err(e) => return Err(error(e.to_string())),
    };
    let mut bytes = Vec::new();
    file.take(MAX_CONFIG).read_to_end(&mut bytes).map_err(|e| error(e.to_string()))?;
    let config: Config = serde_json::from_slice(&bytes).map_err(|e| error(e.to_string()))?;
    let names = [reference.registry(), reference.resolve_registry()];
    let entry = config.auths.iter().find(|(key, entry)| {
        host_of(key).is_some_and(|host| names.contains(&host)) && !entry.auth.is_empty()
    });
    let Some((key, entry)) = entry else {
        return Ok(RegistryAuth::Anonymous);
    };
    let decoded = STANDARD.decode(&entry.auth).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    // The value itself is a secret, so the message must not quote it.
    let (user, password) = decoded
        .as_deref()
        .and_then(|text| text.split_once(':'))
        .ok_or_else(|| error(format!("the entry for {key:?} is not USER:PASSWORD in base64")))?;
    Ok(RegistryAuth::Basic(user.to_owned(), password.to_owned()))
}

/// The host of a key: `HOST[:PORT]`, with the scheme and API version that older versions wrote. Keys of one repository
/// are none.
fn host_of(key: &str) -> Option<&str> {
    let rest = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    matches!(path, "" | "v1" | "v1/" | "v2" | "v2/").then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(config: &str, reference: &str) -> Result<RegistryAuth, RegistryError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), config).unwrap();
        find(Some(file.path()), &reference.parse().unwrap())
    }

    #[test]
    fn credentials_go_to_their_registry_only() {
        let config = r#"{"auths": {"https://index.docker.io/v1/": {"auth": "dTpw"}, "r:5000": {"auth": "dTpwOnE="},
            "q.io/org": {"auth": "dTpw"}, "empty.io": {}}, "credsStore": "x"}"#;
        let basic = |password: &str| RegistryAuth::Basic("u".into(), password.into());
        assert_eq!(found(config, "docker.io/library/a").unwrap(), basic("p"));
        assert_eq!(found(config, "r:5000/a").unwrap(), basic("p:q"));
        for other in ["r:5001/a", "q.io/org/a", "empty.io/a"] {
            assert_eq!(found(config, other).unwrap(), RegistryAuth::Anonymous, "{other}");
        }
        assert_eq!(
            find(Some(Path::new("/nowhere/config.json")), &"r:5000/a".parse().unwrap()).unwrap(),
            RegistryAuth::Anonymous
        );
    }

    #[test]
    fn a_damaged_file_is_an_error_that_quotes_no_secret() {
        assert!(found("{", "r:5000/a").is_err());
        let error = found(r#"{"auths": {"r:5000": {"auth": "c2VjcmV0"}}}"#, "r:5000/a").unwrap_err();
        assert!(!error.to_string().contains("secret") && !error.to_string().contains("c2VjcmV0"), "{error}");
    }
}

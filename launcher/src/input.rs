//! Texts with a syntax of their own: broker addresses, secrets, users.

use sealpod_evidence::workload::SecretMount;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    #[error("{found:?} is not a broker's URL; expected https://HOST[:PORT], for example https://broker:8080")]
    KbsUrl { found: String },
    #[error("{found:?} is not HOST:PORT, for example 127.0.0.1:8080")]
    Address { found: String },
    #[error(
        "--secret {found:?}: expected NAME=kbs:///REPOSITORY/TYPE/TAG:/PATH, for example db=kbs:///prod/key/db:/run/secrets/db"
    )]
    Secret { found: String },
    #[error("--secret {found:?}: {reason}")]
    SecretPart { found: String, reason: String },
    #[error(
        "user {found:?} is not UID[:GID] in numbers; the guest looks up no names, so give --user, for example --user 1000:1000"
    )]
    User { found: String },
    #[error("--env {found:?}: expected NAME=VALUE")]
    Env { found: String },
}

/// Port of `https` where a URL names none.
const HTTPS: u16 = 443;

/// Host and port of a broker's URL.
pub fn broker_address(url: &str) -> Result<(String, u16), InputError> {
    let error = || InputError::KbsUrl { found: url.to_owned() };
    // The guest speaks TLS only.
    let rest = url.strip_prefix("https://").ok_or_else(error)?;
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#', '@']) || authority.contains(char::is_whitespace) {
        return Err(error());
    }
    let has_port =
        authority.rfind(':').is_some_and(|colon| authority.rfind(']').is_none_or(|end| colon > end));
    let with_port = if has_port { authority.to_owned() } else { format!("{authority}:{HTTPS}") };
    address(&with_port).map_err(|_| error())
}

/// `HOST:PORT`, `[IPV6]:PORT`.
pub fn address(text: &str) -> Result<(String, u16), InputError> {
    let error = || InputError::Address { found: text.to_owned() };
    let (host, port) = text.rsplit_once(':').ok_or_else(error)?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if host.is_empty() || (bare.is_none() && host.contains([':', '[', ']'])) {
        return Err(error());
    }
    Ok((bare.unwrap_or(host).to_owned(), port.parse().map_err(|_| error())?))
}

/// `NAME=kbs:///REPOSITORY/TYPE/TAG:/PATH`.
pub fn secret(text: &str) -> Result<SecretMount, InputError> {
    let found = || text.to_owned();
    let syntax = || InputError::Secret { found: found() };
    let part = |reason: String| InputError::SecretPart { found: found(), reason };
    let (name, rest) = text.split_once('=').ok_or_else(syntax)?;
    let (resource, path) =
        rest.strip_prefix("kbs:///").and_then(|rest| rest.split_once(':')).ok_or_else(syntax)?;
    if name.is_empty() {
        return Err(syntax());
    }
    if !path.starts_with('/') || path.ends_with('/') || path.split('/').any(|s| s == ".." || s == ".") {
        return Err(part(format!("{path:?} is not an absolute path of a file")));
    }
    let resource =
        resource.parse().map_err(|e: sealpod_evidence::workload::ResourcePathError| part(e.to_string()))?;
    Ok(SecretMount { name: name.to_owned(), resource, path: path.to_owned() })
}

/// `UID[:GID]`; `root` and nothing at all are 0. Without a group, the group is 0, as container runtimes have it.
pub fn user(text: &str) -> Result<(u32, u32), InputError> {
    let error = || InputError::User { found: text.to_owned() };
    let id = |text: &str| {
        if matches!(text, "" | "root") { Ok(0) } else { text.parse().map_err(|_| error()) }
    };
    let (uid, gid) = text.split_once(':').unwrap_or((text, ""));
    Ok((id(uid)?, id(gid)?))
}

/// The image's environment with the user's settings replaced or added, in order.
pub fn environment(image: &[String], user: &[String]) -> Result<Vec<String>, InputError> {
    let mut all = image.to_vec();
    for entry in user {
        let name = entry.split_once('=').map(|(name, _)| name).filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| InputError::Env { found: entry.clone() })?;
        match all.iter_mut().find(|old| old.split_once('=').is_some_and(|(old, _)| old == name)) {
            Some(old) => old.clone_from(entry),
            None => all.push(entry.clone()),
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broker_urls_give_an_address() {
        assert_eq!(broker_address("https://kbs").unwrap(), ("kbs".into(), 443));
        assert_eq!(broker_address("https://kbs:8080/").unwrap(), ("kbs".into(), 8080));
        assert_eq!(broker_address("https://[::1]").unwrap(), ("::1".into(), 443));
        assert_eq!(broker_address("https://[::1]:8").unwrap(), ("::1".into(), 8));
        for bad in [
            "kbs:8080",
            "https://",
            "https://a/b",
            "https://u@h",
            "https://h:99999",
            "https://::1",
            "http://h",
            "ftp://h",
        ] {
            assert!(broker_address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn secrets_have_three_parts() {
        let good = secret("db=kbs:///prod/key/db:/run/secrets/db").unwrap();
        assert_eq!((good.name.as_str(), good.path.as_str()), ("db", "/run/secrets/db"));
        assert_eq!(good.resource.to_string(), "prod/key/db");
        for bad in [
            "",
            "db",
            "=kbs:///a/b/c:/p",
            "db=kbs://h/a/b/c:/p",
            "db=kbs:///a/b/c",
            "db=kbs:///a/b:/p",
            "db=kbs:///a/b/c:p",
            "db=kbs:///a/b/c:/p/../q",
            "db=kbs:///a/b/c:/",
        ] {
            assert!(secret(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn users_are_numbers() {
        assert_eq!(user("").unwrap(), (0, 0));
        assert_eq!(user("1000").unwrap(), (1000, 0));
        assert_eq!(user("1:2").unwrap(), (1, 2));
        assert!(user("www-data").is_err());
    }

    #[test]
    fn the_users_environment_replaces_the_images() {
        let image = ["PATH=/bin".to_owned(), "A=1".to_owned()];
        let all = environment(&image, &["A=2".to_owned(), "B=".to_owned()]).unwrap();
        assert_eq!(all, ["PATH=/bin", "A=2", "B="]);
        assert!(environment(&image, &["=x".to_owned()]).is_err());
    }
}

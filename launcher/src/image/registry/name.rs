//! Whether the user's text names a path or an image in a registry.

use super::RegistryError;
use oci_client::Reference;
use std::path::Path;

/// The reference that the text is, or `None` for a path: anything that exists below `base`, and what can only be a
/// path. A reference names its registry, so that a mistyped path is never asked for on the internet.
pub fn reference(base: &Path, image: &Path) -> Result<Option<Reference>, RegistryError> {
    let Some(text) = image.to_str() else {
        return Ok(None);
    };
    let is_path = matches!(text.split('/').next(), Some("" | "." | ".." | "~"));
    if is_path || base.join(image).symlink_metadata().is_ok() {
        return Ok(None);
    }
    let found = || text.to_owned();
    if text.contains("://") {
        let message = "it starts with a scheme; leave that out".to_owned();
        return Err(RegistryError::Neither { found: found(), message });
    }
    let reference = Reference::try_from(text)
        .map_err(|error| RegistryError::Neither { found: found(), message: error.to_string() })?;
    match text.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => {
            if base.join(first).is_dir() {
                return Err(RegistryError::Ambiguous { found: found(), dir: first.to_owned() });
            }
            Ok(Some(reference))
        }
        _ => Err(RegistryError::NoRegistry { found: found(), reference: reference.to_string() }),
    }
}

/// Whether the registry is this machine, as its name says without being looked up.
pub fn is_loopback(registry: &str) -> bool {
    let host = match registry.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => registry,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(base: &Path, text: &str) -> Result<Option<String>, RegistryError> {
        reference(base, Path::new(text)).map(|found| found.map(|reference| reference.to_string()))
    }

    #[test]
    fn a_reference_names_its_registry() {
        let dir = tempfile::tempdir().unwrap();
        let digest = format!("sha256:{}", "11".repeat(32));
        for (text, whole) in [
            ("docker.io/library/busybox", "docker.io/library/busybox:latest".to_owned()),
            ("registry:5000/a/b:1", "registry:5000/a/b:1".to_owned()),
            ("localhost/a", "localhost/a:latest".to_owned()),
            (&format!("127.0.0.1:5000/a@{digest}"), format!("127.0.0.1:5000/a@{digest}")),
        ] {
            assert_eq!(read(dir.path(), text).unwrap(), Some(whole), "{text}");
        }
    }

    #[test]
    fn what_exists_or_can_only_be_a_path_is_one() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("docker.io/library/busybox")).unwrap();
        for text in ["docker.io/library/busybox", "./docker.io/x", "../a.b/c", "/no/such", "~/x"] {
            assert_eq!(read(dir.path(), text).unwrap(), None, "{text}");
        }
    }

    #[test]
    fn a_mistyped_path_is_told_both_readings() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("out.d")).unwrap();
        let error = |text| read(dir.path(), text).unwrap_err();
        let found = error("busybox");
        assert!(
            matches!(&found, RegistryError::NoRegistry { reference, .. } if reference == "docker.io/library/busybox:latest"),
            "{found}"
        );
        assert!(matches!(error("app.tar"), RegistryError::NoRegistry { .. }));
        assert!(matches!(error("images/app"), RegistryError::NoRegistry { .. }));
        assert!(matches!(error("out.d/busybox"), RegistryError::Ambiguous { .. }));
        assert!(matches!(error("a.b/UPPER"), RegistryError::Neither { .. }));
        assert!(matches!(error("docker://a.b/c"), RegistryError::Neither { .. }));
        assert!(matches!(error("a.b/c@sha256:11"), RegistryError::Neither { .. }));
        for text in ["busybox", "out.d/busybox", "a.b/UPPER"] {
            assert!(!error(text).to_string().contains('\n'));
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for yes in ["localhost", "localhost:5000", "127.0.0.1", "127.1.2.3:80", "[::1]:5000"] {
            assert!(is_loopback(yes), "{yes}");
        }
        for no in ["localhost.example.org", "127.0.0.1.example.org:80", "10.0.0.1:5000", "registry:5000", ""]
        {
            assert!(!is_loopback(no), "{no}");
        }
    }
}

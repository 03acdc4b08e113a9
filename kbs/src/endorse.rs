//! What the broker believes of processor vendors, from its settings and files. Nothing is fetched.

use crate::config::Config;
use crate::layout::Layout;
use aws_lc_rs::digest;
use sealpod_evidence::snp::report::Product;
use sealpod_verifier::{Endorsements, SnpRoot, tdx};
use std::path::{Path, PathBuf};
use x509_cert::Certificate;
use x509_cert::crl::CertificateList;
use x509_cert::der::asn1::{PrintableStringRef, Utf8StringRef};
use x509_cert::der::oid::db::rfc4519::CN;
use x509_cert::der::{Decode, Encode as _};

/// Why endorsements were not loaded.
#[derive(Debug, thiserror::Error)]
pub enum EndorseError {
    /// A file that the settings name is not readable.
    #[error("cannot read {}: {source}; correct its path in config.toml", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// Not a certificate, revocation list or root certificate.
    #[error("{}: expected {expected}, found {found}", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What was expected.
        expected: &'static str,
        /// What was found.
        found: String,
    },
}

/// AMD's roots, and what the settings add.
pub fn load(config: &Config, layout: &Layout) -> Result<Endorsements, EndorseError> {
    let mut endorsements = Endorsements::new(Endorsements::builtin_snp_roots());
    for path in &config.endorsement_certificates {
        endorsements.add_certificate(read_der::<Certificate>(&layout.resolve(path), "a certificate in DER")?);
    }
    for path in &config.revocation_lists {
        let der = read_der::<CertificateList>(&layout.resolve(path), "a revocation list in DER")?;
        endorsements.add_crl(der);
    }
    if let Some(path) = &config.dangerous_trust_test_root {
        let path = layout.resolve(path);
        let der = read(&path)?;
        endorsements.add_snp_root(root(&path, &der)?);
        endorsements.add_certificate(der);
    }
    if let Some(path) = &config.dangerous_trust_tdx_test_root {
        let path = layout.resolve(path);
        let digest = tdx::root_key_digest(&read(&path)?).map_err(|error| EndorseError::Content {
            path,
            expected: "a root certificate of TDX platforms in DER",
            found: error.found,
        })?;
        endorsements.tdx_mut().dangerous_trust_root(digest);
    }
    Ok(endorsements)
}

/// The key and product of a root certificate. Its signature and dates are the verifier's to judge.
fn root(path: &Path, der: &[u8]) -> Result<SnpRoot, EndorseError> {
    let error = |expected, found: String| EndorseError::Content { path: path.to_owned(), expected, found };
    let certificate = Certificate::from_der(der).map_err(|e| error("a certificate in DER", e.to_string()))?;
    let subject = &certificate.tbs_certificate.subject;
    let name = subject.0.iter().flat_map(|rdn| rdn.0.iter()).find(|attribute| attribute.oid == CN).and_then(
        |attribute| {
            let utf8 = attribute.value.decode_as::<Utf8StringRef<'_>>().map(|text| text.as_str().to_owned());
            utf8.or_else(|_| {
                attribute.value.decode_as::<PrintableStringRef<'_>>().map(|text| text.as_str().to_owned())
            })
            .ok()
        },
    );
    let product = match name.as_deref() {
        Some("ARK-Milan") => Product::Milan,
        Some("ARK-Genoa") => Product::Genoa,
        Some("ARK-Turin") => Product::Turin,
        _ => {
            let found = name.unwrap_or_else(|| subject.to_string());
            return Err(error("the common name ARK-Milan, ARK-Genoa or ARK-Turin", found));
        }
    };
    let spki = certificate.tbs_certificate.subject_public_key_info.to_der();
    let spki = spki.map_err(|e| error("a public key", e.to_string()))?;
    let mut spki_sha384 = [0; 48];
    spki_sha384.copy_from_slice(digest::digest(&digest::SHA384, &spki).as_ref());
    Ok(SnpRoot { product, spki_sha384 })
}

/// A file that is a `T`. One in PEM, say, would be passed over or refuse everything, and nobody would be told before.
fn read_der<T: for<'a> Decode<'a>>(path: &Path, expected: &'static str) -> Result<Vec<u8>, EndorseError> {
    let der = read(path)?;
    match T::from_der(&der) {
        Ok(_) => Ok(der),
        Err(e) => Err(EndorseError::Content { path: path.to_owned(), expected, found: e.to_string() }),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, EndorseError> {
    std::fs::read(path).map_err(|source| EndorseError::Io { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealpod_testkit::{keys::Key, pki};

    #[test]
    fn a_test_root_is_pinned_by_its_key_and_named_by_its_product() {
        let found = root(Path::new("x"), pki::ark_der()).unwrap();
        assert_eq!(found.product, Product::Genoa);
        assert_eq!(
            found.spki_sha384.as_slice(),
            digest::digest(&digest::SHA384, Key::Ark.spki().as_ref()).as_ref()
        );
    }

    #[test]
    fn only_a_root_certificate_is_taken_as_root() {
        let refused = |der: &[u8]| root(Path::new("x"), der).unwrap_err().to_string();
        assert!(refused(pki::ask_der()).contains("SEV-Genoa"), "{}", refused(pki::ask_der()));
        assert!(refused(b"text").contains("DER"));
    }

    #[test]
    fn files_of_another_kind_are_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path());
        std::fs::write(directory.path().join("pem"), "-----BEGIN CERTIFICATE-----").unwrap();
        std::fs::write(directory.path().join("ark"), pki::ark_der()).unwrap();
        let refused = |config: Config| load(&config, &layout).unwrap_err().to_string();
        let found = refused(Config { endorsement_certificates: vec!["pem".into()], ..Config::default() });
        assert!(found.contains("pem: expected a certificate in DER"), "{found}");
        for file in ["pem", "ark"] {
            let found = refused(Config { revocation_lists: vec![file.into()], ..Config::default() });
            assert!(found.contains(&format!("{file}: expected a revocation list in DER")), "{found}");
        }
        let refused =
            refused(Config { dangerous_trust_tdx_test_root: Some("pem".into()), ..Config::default() });
        assert!(refused.contains("pem: expected a root certificate of TDX platforms"), "{refused}");
        let good = Config { endorsement_certificates: vec!["ark".into()], ..Config::default() };
        assert_eq!(load(&good, &layout).unwrap().certificates().len(), 1);
    }

    #[test]
    fn without_a_setting_only_the_vendors_roots_are_trusted() {
        let layout = Layout::new("/nonexistent");
        let endorsements = load(&Config::default(), &layout).unwrap();
        assert_eq!(endorsements.snp_roots(), Endorsements::builtin_snp_roots());
        assert!(endorsements.certificates().is_empty());
    }
}

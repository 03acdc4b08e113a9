//! Names of the files in the broker's directory.

use std::path::{Path, PathBuf};

/// The broker's directory.
#[derive(Debug, Clone)]
pub struct Layout(PathBuf);

macro_rules! files {
    ($($(#[doc = $doc:literal])+ $name:ident = $file:literal;)+) => {
        impl Layout {
            $($(#[doc = $doc])+ pub fn $name(&self) -> PathBuf { self.0.join($file) })+
        }
    };
}

files! {
    /// Settings.
    config = "config.toml";
    /// Certificate authority of the TLS certificate, for initdata and clients.
    ca = "ca.pem";
    /// Its private key, for issuing the next TLS certificate; the server does not need it.
    ca_key = "ca-key.pem";
    /// TLS certificate.
    server_certificate = "server.pem";
    /// TLS private key.
    server_key = "server-key.pem";
    /// ES256 key that signs attestation tokens, PKCS#8.
    token_key = "token-key.der";
    /// The token key's public half, `SubjectPublicKeyInfo`.
    token_public = "token-public.der";
    /// Ed25519 key that signs administration tokens, PKCS#8; the server does not need it.
    admin_key = "admin-key.der";
    /// The administration key's public half, `SubjectPublicKeyInfo`.
    admin_public = "admin-public.der";
    /// Key of the session cookies.
    cookie_key = "cookie-key.bin";
    /// Key of the vTPM credentials.
    credential_key = "credential-key.bin";
    /// Key that encrypts the secrets' keys.
    kek = "kek.bin";
    /// The audit log.
    audit = "audit.jsonl";
    /// Secrets, policies, Reference Values, archived evidence.
    store = "store";
    /// Endorsements that were fetched or imported.
    endorsements = "endorsements";
    /// Packed sets of files.
    packed = "packed";
    /// Held by a running server.
    lock = "serve.lock";
}

impl Layout {
    /// The broker in this directory.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self(directory.into())
    }

    /// The directory itself.
    pub fn directory(&self) -> &Path {
        &self.0
    }

    /// A path from the settings: relative ones start here.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.0.join(path)
    }
}

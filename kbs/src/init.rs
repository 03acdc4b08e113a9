//! Making a new broker: keys, TLS certificate, settings, an empty store with the shipped release policy.

use crate::admin::{Admin, AdminError, By};
use crate::clock::civil;
use crate::config;
use crate::crypto::CryptoError;
use crate::jwt::{self, KeyError, TokenSigner};
use crate::keys;
use crate::layout::Layout;
use crate::release::DEFAULT_POLICY;
use crate::storage::files::{Durability, sync_parent, write_new};
use crate::storage::{FileStorage, StorageError};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use sealpod_verifier::UnixTime;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::PathBuf;

/// Life of the TLS certificates in years. They are pinned through initdata, so an early end would lock guests out and a late one
/// lets nobody in.
const YEARS: i32 = 10;

/// Why no broker was made.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// Something is there already.
    #[error("{} exists; a broker's keys are never overwritten, choose another --dir or move it away", path.display())]
    Exists {
        /// What is there.
        path: PathBuf,
    },
    /// A file could not be written.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The directory could not be made.
    #[error("cannot make {}: {source}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// Others could exchange what is written into the directory.
    #[error("{} has mode {mode:04o}, others may write to it; chmod 700 it, or choose another --dir", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A certificate could not be made, for example of a name that is none.
    #[error("TLS certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A key could not be made.
    #[error("key generation: {0}")]
    Crypto(#[from] CryptoError),
    /// A key that was made is not usable.
    #[error("key generation: {0}")]
    Key(#[from] KeyError),
    /// The policy could not be installed.
    #[error(transparent)]
    Admin(#[from] AdminError),
}

/// Make a broker in the directory whose TLS certificate is for these DNS names and IP addresses.
pub fn init(layout: &Layout, tls_names: &[String], now: UnixTime) -> Result<(), InitError> {
    make_directory(layout)?;
    for path in
        [layout.config(), layout.store(), layout.kek(), layout.token_key(), layout.audit(), layout.ca()]
    {
        // A link that leads nowhere is there, too.
        if path.symlink_metadata().is_ok() {
            return Err(InitError::Exists { path });
        }
    }
    write_tls(layout, tls_names, now)?;
    write_keys(layout)?;
    FileStorage::create(&layout.store())?;
    Admin::open(layout)?.set_policy(By { peer: None, now }, DEFAULT_POLICY)?;
    // Last: a directory with settings is a whole broker.
    write(layout.config(), config::TEMPLATE.as_bytes())?;
    // The files are on disk; so must be their names before a secret rests on them.
    Ok(sync_parent(&layout.config())?)
}

/// Make the directory for its owner alone, whatever the umask, or see that one that is there is not everybody's.
fn make_directory(layout: &Layout) -> Result<(), InitError> {
    let path = layout.directory().to_owned();
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
    let mode = made.and_then(|()| std::fs::metadata(&path)).map(|found| found.permissions().mode() & 0o7777);
    match mode {
        Ok(mode) if mode & 0o022 != 0 => Err(InitError::Open { path, mode }),
        Ok(_) => Ok(()),
        Err(source) => Err(InitError::Directory { path, source }),
    }
}

fn write_keys(layout: &Layout) -> Result<(), InitError> {
    for path in [layout.cookie_key(), layout.credential_key(), layout.kek()] {
        write(path, keys::generate()?.as_slice())?;
    }
    let token = jwt::generate_token_key()?;
    write(layout.token_public(), &TokenSigner::from_pkcs8(&token)?.public_spki()?)?;
    write(layout.token_key(), &token)?;
    let (admin, admin_public) = jwt::generate_admin_key()?;
    write(layout.admin_key(), &admin)?;
    write(layout.admin_public(), &admin_public)
}

fn write_tls(layout: &Layout, names: &[String], now: UnixTime) -> Result<(), InitError> {
    let ca_key = KeyPair::generate()?;
    let mut ca = parameters(Vec::new(), "sealpod-kbs CA", now)?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    write(layout.ca(), ca.self_signed(&ca_key)?.pem().as_bytes())?;
    write(layout.ca_key(), zeroize::Zeroizing::new(ca_key.serialize_pem()).as_bytes())?;
    let issuer = Issuer::new(ca, ca_key);

    let key = KeyPair::generate()?;
    let mut server = parameters(names.to_vec(), "sealpod-kbs", now)?;
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    write(layout.server_certificate(), server.signed_by(&key, &issuer)?.pem().as_bytes())?;
    write(layout.server_key(), zeroize::Zeroizing::new(key.serialize_pem()).as_bytes())
}

fn parameters(names: Vec<String>, common_name: &str, now: UnixTime) -> Result<CertificateParams, InitError> {
    let mut parameters = CertificateParams::new(names)?;
    parameters.distinguished_name.push(DnType::CommonName, common_name);
    // Valid from the day before: clocks differ.
    let (year, month, day) = civil((now / 86_400).saturating_sub(1));
    let (year, month) = (i32::try_from(year).unwrap_or(1970), u8::try_from(month).unwrap_or(1));
    parameters.not_before = rcgen::date_time_ymd(year, month, u8::try_from(day).unwrap_or(1));
    // The first of the month exists in every year.
    parameters.not_after = rcgen::date_time_ymd(year + YEARS, month, 1);
    Ok(parameters)
}

fn write(path: PathBuf, bytes: &[u8]) -> Result<(), InitError> {
    Ok(write_new(&path, bytes, Durability::Synced)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::keys::Keys;

    #[test]
    fn a_new_broker_is_whole_private_and_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path().join("kbs"));
        init(&layout, &["localhost".to_owned(), "127.0.0.1".to_owned()], 1_800_000_000).unwrap();
        assert_eq!(Config::load(&layout).unwrap(), Config::default());
        assert!(Keys::load(&layout).is_ok());
        let admin = Admin::open(&layout).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(admin.policy().unwrap().unwrap(), DEFAULT_POLICY);
        for entry in std::fs::read_dir(layout.directory()).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode() & 0o077;
            assert_eq!(mode, 0, "{:?}", entry.file_name());
        }
        assert!(matches!(init(&layout, &[], 0), Err(InitError::Exists { .. })));
    }

    #[test]
    fn a_directory_that_others_write_to_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        for mode in [0o770, 0o702, 0o1777] {
            std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            let refused = init(&Layout::new(directory.path()), &[], 0);
            assert!(
                matches!(refused, Err(InitError::Open { mode: found, .. }) if found == mode),
                "{refused:?}"
            );
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_link_in_place_of_a_file_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (path, victim) = (directory.path().join("kbs"), directory.path().join("victim"));
        let layout = Layout::new(&path);
        make_directory(&layout).unwrap();
        for link in [layout.audit(), layout.config(), layout.kek()] {
            std::os::unix::fs::symlink(&victim, &link).unwrap();
            let refused = init(&layout, &[], 0);
            assert!(matches!(&refused, Err(InitError::Exists { path }) if *path == link), "{refused:?}");
            std::fs::remove_file(link).unwrap();
        }
        assert!(!victim.exists());
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let refused = init(&Layout::new(directory.path()), &["ä".to_owned()], 0);
        assert!(matches!(refused, Err(InitError::Certificate(_))));
    }
}

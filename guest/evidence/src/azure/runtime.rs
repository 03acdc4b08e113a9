//! The runtime data: JSON in which the paravisor names its vTPM's keys.
//!
//! The hardware report covers its bytes, so a member that is not known here is the paravisor's to add. What is read has to be
//! unambiguous all the same: each key once.

use crate::tpm::PublicKey;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use thiserror::Error;

/// Length of the user data: what a guest may have put into its report, zero-padded.
pub const USER_DATA_LEN: usize = 64;

/// Key identifiers of the paravisor (`RsaJwk::get_tpm_jwks`).
const AK: &str = "HCLAkPub";
const EK: &str = "HCLEkPub";
/// Most keys; there are two.
const MAX_KEYS: usize = 8;

/// Why bytes are not runtime data.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RuntimeError {
    /// Not JSON, or not of its form.
    #[error("runtime data: {found}")]
    Json {
        /// What the reader says.
        found: String,
    },
    /// A key that is missing or there more than once, or too many keys.
    #[error("runtime data with {found} keys {kid:?}, expected {expected}")]
    KeyCount {
        /// The key's identifier.
        kid: &'static str,
        /// How many there may be.
        expected: &'static str,
        /// How many there are.
        found: usize,
    },
    /// A key that is no RSA key of a known size.
    #[error("runtime data: key {kid:?}: {found}")]
    Key {
        /// The key's identifier.
        kid: &'static str,
        /// What is wrong.
        found: String,
    },
    /// User data that is not hex of 64 bytes.
    #[error(
        "runtime data: user data of {found} characters, expected the hex of {USER_DATA_LEN} bytes or none"
    )]
    UserData {
        /// Characters found.
        found: usize,
    },
}

/// How the VM is configured, as far as it is known here (`AttestationVmConfig`). What is not there, the paravisor did not say.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct VmConfiguration {
    /// Whether the host's serial console is there.
    pub console_enabled: Option<bool>,
    /// Whether somebody could type into it.
    pub interactive_console_enabled: Option<bool>,
    /// Whether firmware checks what it starts.
    pub secure_boot: Option<bool>,
    /// Whether there is a vTPM.
    pub tpm_enabled: Option<bool>,
    /// Whether the vTPM's state outlives the VM's run.
    pub tpm_persisted: Option<bool>,
    /// Whether devices of the host get through the filter.
    pub filtered_vpci_devices_allowed: Option<bool>,
    /// Digest of the provisioning certificate, base64url.
    pub root_cert_thumbprint: Option<String>,
    /// Seconds since 1970, by the host's clock.
    pub current_time: Option<i64>,
    /// Identifier of the VM.
    #[serde(rename = "vmUniqueId")]
    pub vm_unique_id: Option<String>,
}

/// Runtime data, well formed. It is the paravisor's word once the hardware report is seen to cover [`RuntimeData::raw`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeData {
    ak: PublicKey,
    ek: Option<PublicKey>,
    user_data: Option<[u8; USER_DATA_LEN]>,
    configuration: VmConfiguration,
    raw: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Json {
    keys: Vec<Jwk>,
    vm_configuration: VmConfiguration,
    #[serde(default)]
    user_data: String,
}

#[derive(Deserialize)]
struct Jwk {
    kid: String,
    kty: String,
    n: String,
    e: String,
}

impl RuntimeData {
    /// Takes one JSON object. Key operations are not looked at: older paravisors call their signing key an encryption key.
    ///
    /// # Errors
    ///
    /// See [`RuntimeError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, RuntimeError> {
        let json: Json =
            serde_json::from_slice(bytes).map_err(|error| RuntimeError::Json { found: error.to_string() })?;
        if json.keys.len() > MAX_KEYS {
            return Err(RuntimeError::KeyCount {
                kid: "of any name",
                expected: "at most 8",
                found: json.keys.len(),
            });
        }
        let ak = key(&json.keys, AK)?.ok_or(RuntimeError::KeyCount { kid: AK, expected: "1", found: 0 })?;
        let user_data = user_data(&json.user_data)?;
        let (ek, configuration) = (key(&json.keys, EK)?, json.vm_configuration);
        Ok(Self { ak, ek, user_data, configuration, raw: bytes.to_vec() })
    }

    /// The bytes as received: what the hardware report covers.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The vTPM's attestation key. The paravisor makes it as a restricted signing key in its own vTPM; nothing but its word
    /// says so.
    pub fn ak(&self) -> &PublicKey {
        &self.ak
    }

    /// The vTPM's endorsement key, where the paravisor names it.
    pub fn ek(&self) -> Option<&PublicKey> {
        self.ek.as_ref()
    }

    /// What the guest had put into this report; zeros where it put nothing. `None` in old paravisors.
    pub fn user_data(&self) -> Option<&[u8; USER_DATA_LEN]> {
        self.user_data.as_ref()
    }

    /// How the VM is configured.
    pub fn configuration(&self) -> &VmConfiguration {
        &self.configuration
    }
}

/// The key with this identifier, if there is one.
fn key(keys: &[Jwk], kid: &'static str) -> Result<Option<PublicKey>, RuntimeError> {
    let found: Vec<_> = keys.iter().filter(|key| key.kid == kid).collect();
    match found.as_slice() {
        [] => Ok(None),
        [only] => rsa(only).map(Some).map_err(|found| RuntimeError::Key { kid, found }),
        more => Err(RuntimeError::KeyCount { kid, expected: "at most 1", found: more.len() }),
    }
}

fn rsa(jwk: &Jwk) -> Result<PublicKey, String> {
    if jwk.kty != "RSA" {
        return Err(format!("kty {:?}, expected RSA", jwk.kty));
    }
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|error| error.to_string());
    let (modulus, e) = (decode(&jwk.n)?, decode(&jwk.e)?);
    let bits: u16 = match modulus.len() {
        256 => 2048,
        384 => 3072,
        512 => 4096,
        length => return Err(format!("a modulus of {length} bytes")),
    };
    let exponent = e
        .iter()
        .try_fold(0_u32, |sum, byte| sum.checked_mul(256).and_then(|sum| sum.checked_add(u32::from(*byte))));
    match exponent {
        Some(exponent) if exponent > 2 && e.first() != Some(&0) => {
            Ok(PublicKey::Rsa { bits, exponent, modulus })
        }
        _ => Err(format!("an exponent of {} bytes", e.len())),
    }
}

fn user_data(text: &str) -> Result<Option<[u8; USER_DATA_LEN]>, RuntimeError> {
    if text.is_empty() {
        return Ok(None);
    }
    let mut out = [0; USER_DATA_LEN];
    // The paravisor writes capital letters in some versions and small ones in others.
    hex::decode_to_slice(text, &mut out)
        .map_err(|_| RuntimeError::UserData { found: text.chars().count() })?;
    Ok(Some(out))
}

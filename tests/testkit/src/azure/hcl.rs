//! The HCL report (OpenHCL, `igvm_attest::get`), every header field open to be spoiled.

use crate::keys::Key;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// Length of the field for the hardware report.
const HARDWARE_LEN: usize = 1184;
/// Length of the vTPM's index that the report is read from.
const INDEX_LEN: usize = 2600;

/// Both headers. Sizes are computed unless given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HclFields {
    /// "HCLA".
    pub signature: [u8; 4],
    /// Version of the first header: 1 or 2.
    pub version: u32,
    /// Size of the report, if not the true one.
    pub report_size: Option<u32>,
    /// 2: a report for an attestation key.
    pub request_type: u32,
    /// Version of the runtime data's header: 1 or 2.
    pub data_version: u32,
    /// 2: SNP, 4: TDX.
    pub report_type: u32,
    /// 1: SHA-256.
    pub hash_type: u32,
}

impl HclFields {
    /// Headers as they stand before an SNP report.
    pub fn snp() -> Self {
        Self {
            signature: *b"HCLA",
            version: 1,
            report_size: None,
            request_type: 2,
            data_version: 1,
            report_type: 2,
            hash_type: 1,
        }
    }

    /// Headers as they stand before a TDREPORT.
    pub fn tdx() -> Self {
        Self { version: 2, report_type: 4, ..Self::snp() }
    }

    /// The bytes that the vTPM's index holds.
    pub fn to_bytes(&self, hardware: &[u8], runtime: &[u8]) -> Vec<u8> {
        let extra = if self.data_version == 2 { 4 } else { 0 };
        let data_size = (20 + extra + runtime.len()) as u32;
        let report_size = self.report_size.unwrap_or(32 + HARDWARE_LEN as u32 + data_size);
        let mut out = self.signature.to_vec();
        let words = [self.version, report_size, self.request_type, 0, 0, 0, 0];
        out.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        out.extend(hardware);
        out.resize(32 + HARDWARE_LEN, 0);
        let words = [data_size, self.data_version, self.report_type, self.hash_type, runtime.len() as u32];
        out.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        out.extend(vec![1; extra]);
        out.extend(runtime);
        out.resize(out.len().max(INDEX_LEN), 0);
        out
    }
}

/// The runtime data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeFields {
    /// The attestation key, RSA.
    pub ak: Key,
    /// The endorsement key, RSA; none in old paravisors.
    pub ek: Option<Key>,
    /// What the guest had put into the report; none in old paravisors.
    pub user_data: Option<Vec<u8>>,
    /// How the VM is configured.
    pub configuration: Value,
}

impl Default for RuntimeFields {
    fn default() -> Self {
        let configuration = json!({
            "console-enabled": true,
            "secure-boot": true,
            "tpm-enabled": true,
            "vmUniqueId": "7DF7B373-B947-4AAA-96E5-C358F2A03D20",
        });
        Self { ak: Key::AkRsa, ek: Some(Key::Ek), user_data: Some(vec![0; 64]), configuration }
    }
}

impl RuntimeFields {
    /// The JSON.
    pub fn to_bytes(&self) -> Vec<u8> {
        let jwk = |kid: &str, use_: &str, key: Key| {
            let n = URL_SAFE_NO_PAD.encode(key.modulus());
            json!({"kid": kid, "key_ops": [use_], "kty": "RSA", "e": "AQAB", "n": n})
        };
        let mut keys = vec![jwk("HCLAkPub", "sign", self.ak)];
        keys.extend(self.ek.map(|ek| jwk("HCLEkPub", "encrypt", ek)));
        let mut out = json!({"keys": keys, "vm-configuration": self.configuration});
        if let Some(data) = &self.user_data {
            out["user-data"] = hex::encode_upper(data).into();
        }
        out.to_string().into_bytes()
    }
}

//! Collateral for the test platform, every field open to be spoiled.

use super::{
    COMPONENTS, FMSPC, IntelCertificate, IntelCrl, Key, PCE_ID, PCE_SVN, QE_PRODUCT, QE_SIGNER, QE_SVN,
    TEE_TCB_SVN, pem,
};
use serde_json::{Value, json};

/// Collateral before it is signed.
#[derive(Debug, Clone, PartialEq)]
pub struct Collateral {
    /// TCB Info, the document itself.
    pub tcb_info: Value,
    /// The quoting enclave's identity, the document itself.
    pub qe_identity: Value,
    /// The signer of both and its issuer.
    pub signing_chain: Vec<IntelCertificate>,
    /// Signs TCB Info.
    pub tcb_info_key: Key,
    /// Signs the identity.
    pub qe_identity_key: Key,
    /// The root's revocation list.
    pub root_crl: IntelCrl,
    /// The PCK authority's revocation list.
    pub pck_crl: IntelCrl,
}

impl Default for Collateral {
    fn default() -> Self {
        Self::valid()
    }
}

impl Collateral {
    /// Under which the test platform is up to date.
    pub fn valid() -> Self {
        Self {
            tcb_info: tcb_info(),
            qe_identity: qe_identity(),
            signing_chain: vec![IntelCertificate::tcb_signing(), IntelCertificate::root()],
            tcb_info_key: Key::TcbSigning,
            qe_identity_key: Key::TcbSigning,
            root_crl: IntelCrl::root(),
            pck_crl: IntelCrl::pck(),
        }
    }

    /// Sign, as `QuoteCollateralV3` JSON.
    pub fn to_json(&self) -> Vec<u8> {
        let (info, identity) = (self.tcb_info.to_string(), self.qe_identity.to_string());
        let chain = pem(&self.signing_chain);
        let collateral = json!({
            "pck_crl_issuer_chain": pem(&[IntelCertificate::pck_ca(), IntelCertificate::root()]),
            "root_ca_crl": hex::encode(self.root_crl.to_der()),
            "pck_crl": hex::encode(self.pck_crl.to_der()),
            "tcb_info_issuer_chain": chain,
            "tcb_info_signature": hex::encode(self.tcb_info_key.sign(info.as_bytes())),
            "tcb_info": info,
            "qe_identity_issuer_chain": chain,
            "qe_identity_signature": hex::encode(self.qe_identity_key.sign(identity.as_bytes())),
            "qe_identity": identity,
        });
        serde_json::to_vec(&collateral).expect("JSON")
    }
}

/// A platform's TCB level.
pub fn tcb_level(sgx: [u8; 16], pce_svn: u16, tdx: [u8; 16], status: &str, advisories: &[&str]) -> Value {
    let components = |svns: [u8; 16]| svns.map(|svn| json!({ "svn": svn }));
    json!({
        "tcb": {
            "sgxtcbcomponents": components(sgx),
            "pcesvn": pce_svn,
            "tdxtcbcomponents": components(tdx),
        },
        "tcbDate": "2026-01-01T00:00:00Z",
        "tcbStatus": status,
        "advisoryIDs": advisories,
    })
}

/// A level of an enclave or TDX module.
pub fn enclave_level(isvsvn: u16, status: &str, advisories: &[&str]) -> Value {
    json!({
        "tcb": { "isvsvn": isvsvn },
        "tcbDate": "2026-01-01T00:00:00Z",
        "tcbStatus": status,
        "advisoryIDs": advisories,
    })
}

/// A TDX module of Intel's.
pub fn module_identity(id: &str, levels: &[Value]) -> Value {
    json!({
        "id": id,
        "mrsigner": "00".repeat(48),
        "attributes": "00".repeat(8),
        "attributesMask": "FF".repeat(8),
        "tcbLevels": levels,
    })
}

fn tcb_info() -> Value {
    let older = {
        let mut sgx = COMPONENTS;
        sgx[0] -= 1;
        tcb_level(sgx, PCE_SVN, TEE_TCB_SVN, "OutOfDate", &["INTEL-SA-00001"])
    };
    json!({
        "id": "TDX",
        "version": 3,
        "issueDate": "2026-05-15T00:00:00Z",
        "nextUpdate": "2026-06-14T00:00:00Z",
        "fmspc": hex::encode_upper(FMSPC),
        "pceId": hex::encode_upper(PCE_ID),
        "tcbType": 0,
        "tcbEvaluationDataNumber": 17,
        "tdxModule": { "mrsigner": "00".repeat(48), "attributes": "00".repeat(8), "attributesMask": "FF".repeat(8) },
        "tdxModuleIdentities": [module_identity(
            "TDX_01",
            &[
                enclave_level(u16::from(TEE_TCB_SVN[0]), "UpToDate", &[]),
                enclave_level(u16::from(TEE_TCB_SVN[0]) - 1, "OutOfDate", &["INTEL-SA-00002"]),
            ],
        )],
        "tcbLevels": [tcb_level(COMPONENTS, PCE_SVN, TEE_TCB_SVN, "UpToDate", &[]), older],
    })
}

fn qe_identity() -> Value {
    json!({
        "id": "TD_QE",
        "version": 2,
        "issueDate": "2026-05-15T00:00:00Z",
        "nextUpdate": "2026-06-14T00:00:00Z",
        "tcbEvaluationDataNumber": 18,
        "miscselect": "00000000",
        "miscselectMask": "FFFFFFFF",
        "attributes": "11000000000000000000000000000000",
        "attributesMask": "FBFFFFFFFFFFFFFF0000000000000000",
        "mrsigner": hex::encode_upper(QE_SIGNER),
        "isvprodid": QE_PRODUCT,
        "tcbLevels": [
            enclave_level(QE_SVN, "UpToDate", &[]),
            enclave_level(QE_SVN - 1, "OutOfDate", &["INTEL-SA-00003"]),
        ],
    })
}

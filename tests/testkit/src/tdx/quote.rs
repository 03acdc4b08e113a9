//! Quotes, every field open to be spoiled.

use super::{IntelCertificate, Key, QE_PRODUCT, QE_SIGNER, QE_SVN, TEE_TCB_SVN, pem};
use crate::hash::sha256;
use sealpod_evidence::tdx::quote::INTEL_QE;

/// A quote before it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuoteFields {
    /// 4 or 5.
    pub version: u16,
    /// TEE type.
    pub tee: u32,
    /// What it is about.
    pub td: TdFields,
    /// Signs header and body.
    pub attestation_key: Key,
    /// The key that the quoting enclave's report binds.
    pub bound_key: Key,
    /// The quoting enclave.
    pub qe: EnclaveFields,
    /// Signs the quoting enclave's report.
    pub qe_signed_by: Key,
    /// What the quoting enclave authenticates beside its key.
    pub authentication_data: Vec<u8>,
    /// What certifies the PCK.
    pub certified: Certified,
    /// What follows.
    pub padding: Vec<u8>,
}

/// Certification data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Certified {
    /// Type 5: these certificates in PEM, and a NUL.
    Chain(Vec<IntelCertificate>),
    /// Anything else.
    Other(u16, Vec<u8>),
}

/// The body of a TD's quote.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in the TDX module's ABI")]
pub struct TdFields {
    pub tee_tcb_svn: [u8; 16],
    pub mr_seam: [u8; 48],
    pub mr_signer_seam: [u8; 48],
    pub seam_attributes: [u8; 8],
    pub td_attributes: u64,
    pub xfam: u64,
    pub mr_td: [u8; 48],
    pub mr_config_id: [u8; 48],
    pub mr_owner: [u8; 48],
    pub mr_owner_config: [u8; 48],
    pub rtmr: [[u8; 48]; 4],
    pub report_data: [u8; 64],
    pub tee_tcb_svn2: [u8; 16],
    pub mr_service_td: [u8; 48],
}

/// An enclave's report.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in Intel's manual")]
pub struct EnclaveFields {
    pub misc_select: u32,
    pub attributes: [u8; 16],
    pub mr_signer: [u8; 32],
    pub isv_prod_id: u16,
    pub isv_svn: u16,
    /// In the place of what binds the attestation key.
    pub report_data: Option<[u8; 64]>,
}

impl Default for TdFields {
    fn default() -> Self {
        Self {
            tee_tcb_svn: TEE_TCB_SVN,
            mr_seam: [0x5e; 48],
            mr_signer_seam: [0; 48],
            seam_attributes: [0; 8],
            // SEPT_VE_DISABLE.
            td_attributes: 1 << 28,
            xfam: 0x6_02e7,
            mr_td: [0x7d; 48],
            mr_config_id: [0; 48],
            mr_owner: [0; 48],
            mr_owner_config: [0; 48],
            rtmr: [[0; 48]; 4],
            report_data: [0; 64],
            tee_tcb_svn2: TEE_TCB_SVN,
            mr_service_td: [0; 48],
        }
    }
}

impl Default for EnclaveFields {
    fn default() -> Self {
        let mut attributes = [0; 16];
        attributes[0] = 0x15;
        attributes[8] = 0xe7;
        Self {
            misc_select: 0,
            attributes,
            mr_signer: QE_SIGNER,
            isv_prod_id: QE_PRODUCT,
            isv_svn: QE_SVN,
            report_data: None,
        }
    }
}

impl Default for QuoteFields {
    /// Version 4, of the test platform.
    fn default() -> Self {
        Self {
            version: 4,
            tee: 0x81,
            td: TdFields::default(),
            attestation_key: Key::Attestation,
            bound_key: Key::Attestation,
            qe: EnclaveFields::default(),
            qe_signed_by: Key::Pck,
            authentication_data: (0..32).collect(),
            certified: Certified::Chain(vec![
                IntelCertificate::pck(),
                IntelCertificate::pck_ca(),
                IntelCertificate::root(),
            ]),
            padding: Vec::new(),
        }
    }
}

impl TdFields {
    /// The body of TDX 1.0, or of 1.5.
    pub fn to_bytes(&self, td15: bool) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(self.tee_tcb_svn);
        out.extend(self.mr_seam);
        out.extend(self.mr_signer_seam);
        out.extend(self.seam_attributes);
        out.extend(self.td_attributes.to_le_bytes());
        out.extend(self.xfam.to_le_bytes());
        for register in [self.mr_td, self.mr_config_id, self.mr_owner, self.mr_owner_config] {
            out.extend(register);
        }
        self.rtmr.iter().for_each(|rtmr| out.extend(rtmr));
        out.extend(self.report_data);
        if td15 {
            out.extend(self.tee_tcb_svn2);
            out.extend(self.mr_service_td);
        }
        out
    }
}

impl EnclaveFields {
    fn to_bytes(&self, report_data: [u8; 64]) -> Vec<u8> {
        let mut out = vec![9; 16];
        out.extend(self.misc_select.to_le_bytes());
        out.extend([0; 28]);
        out.extend(self.attributes);
        out.extend([0xee; 32]);
        out.extend([0; 32]);
        out.extend(self.mr_signer);
        out.extend([0; 96]);
        out.extend(self.isv_prod_id.to_le_bytes());
        out.extend(self.isv_svn.to_le_bytes());
        out.extend([0; 60]);
        out.extend(self.report_data.unwrap_or(report_data));
        out
    }
}

impl QuoteFields {
    /// Header and body: what the attestation key signs.
    pub fn signed(&self) -> Vec<u8> {
        let mut out = self.version.to_le_bytes().to_vec();
        out.extend(2_u16.to_le_bytes());
        out.extend(self.tee.to_le_bytes());
        out.extend([0; 4]);
        out.extend(INTEL_QE);
        out.extend([7; 20]);
        let body =
            if self.tee == 0 { self.qe.to_bytes([0; 64]) } else { self.td.to_bytes(self.version == 5) };
        if self.version == 5 {
            out.extend(if self.tee == 0 { 1_u16 } else { 3 }.to_le_bytes());
            out.extend((body.len() as u32).to_le_bytes());
        }
        out.extend(body);
        out
    }

    /// Sign and encode.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.signed();
        let signature = self.attestation_key.sign(&out);
        let mut report_data = [0; 64];
        let bound = [&self.bound_key.point()[..], &self.authentication_data].concat();
        report_data[..32].copy_from_slice(&sha256(&bound));
        let mut certified = self.qe.to_bytes(report_data);
        certified.extend(self.qe_signed_by.sign(&certified));
        certified.extend((self.authentication_data.len() as u16).to_le_bytes());
        certified.extend(&self.authentication_data);
        let (kind, content) = match &self.certified {
            Certified::Chain(certificates) => (5, [pem(certificates).as_bytes(), &[0]].concat()),
            Certified::Other(kind, content) => (*kind, content.clone()),
        };
        put(&mut certified, kind, &content);
        let mut data = signature.to_vec();
        data.extend(self.attestation_key.point());
        put(&mut data, 6, &certified);
        out.extend((data.len() as u32).to_le_bytes());
        out.extend(data);
        out.extend(&self.padding);
        out
    }
}

/// Certification data: type, length, content.
fn put(out: &mut Vec<u8>, kind: u16, content: &[u8]) {
    out.extend(kind.to_le_bytes());
    out.extend((content.len() as u32).to_le_bytes());
    out.extend(content);
}

//! The certificate table that a host hands to its guest (GHCB specification 2.03, section 4.1.8.1).

use super::{ark_der, ask_der, asvk_der, vcek_der, vlek_der};
use sealpod_evidence::snp::cert_table::Guid;

/// A table: what and which bytes, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CertificateTable(pub Vec<(Guid, Vec<u8>)>);

impl CertificateTable {
    /// VCEK, ASK, ARK.
    pub fn vcek() -> Self {
        Self(vec![
            (Guid::VCEK, vcek_der().to_vec()),
            (Guid::ASK, ask_der().to_vec()),
            (Guid::ARK, ark_der().to_vec()),
        ])
    }

    /// VLEK, ASVK, ARK.
    pub fn vlek() -> Self {
        Self(vec![
            (Guid::VLEK, vlek_der().to_vec()),
            (Guid::ASK, asvk_der().to_vec()),
            (Guid::ARK, ark_der().to_vec()),
        ])
    }

    /// The same table with the entry of that kind replaced.
    pub fn with(mut self, kind: Guid, der: Vec<u8>) -> Self {
        let entry = self.0.iter_mut().find(|entry| entry.0 == kind).expect("no such entry");
        entry.1 = der;
        self
    }

    /// Entries of GUID, offset and length; one of zeros; then the certificates.
    pub fn to_bytes(&self) -> Vec<u8> {
        const ENTRY: usize = 24;
        let mut offset = (self.0.len() + 1) * ENTRY;
        let mut out = Vec::new();
        for (guid, der) in &self.0 {
            out.extend(guid.0);
            out.extend((offset as u32).to_le_bytes());
            out.extend((der.len() as u32).to_le_bytes());
            offset += der.len();
        }
        out.extend([0; ENTRY]);
        self.0.iter().for_each(|(_, der)| out.extend(der));
        out
    }
}

//! SNP attestation reports (AMD 56860, table 23), every field open to be spoiled.

use crate::hash::sha384;
use crate::keys::{Key, Scheme};
use crate::pki::{CHIP_ID, CPUID, TCB, tcb_bytes};

/// A report with its signature.
pub const LEN: usize = 1184;
/// What of it is signed.
pub const SIGNED_LEN: usize = 0x2A0;
/// Level of a guest's kernel under an SVSM.
pub const VMPL_GUEST: u32 = 2;
/// Level of an SVSM.
pub const VMPL_SVSM: u32 = 0;

/// One report before it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportFields {
    /// 0x000.
    pub version: u32,
    /// 0x004.
    pub guest_svn: u32,
    /// 0x008: bit 16 SMT, 17 reserved (one), 18 migration, 19 debug; bits 0-15 least ABI.
    pub policy: u64,
    /// 0x010.
    pub family_id: [u8; 16],
    /// 0x020.
    pub image_id: [u8; 16],
    /// 0x030.
    pub vmpl: u32,
    /// 0x034: 1 is ECDSA P-384 with SHA-384.
    pub signature_algorithm: u32,
    /// 0x038.
    pub current_tcb: [u8; 8],
    /// 0x040: bit 0 is SMT.
    pub platform_info: u64,
    /// 0x048: bit 0 author key present, 1 chip id masked, 2-4 signing key (0 VCEK, 1 VLEK, 7 none).
    pub flags: u32,
    /// 0x050.
    pub report_data: [u8; 64],
    /// 0x090.
    pub measurement: [u8; 48],
    /// 0x0C0.
    pub host_data: [u8; 32],
    /// 0x0E0.
    pub id_key_digest: [u8; 48],
    /// 0x110.
    pub author_key_digest: [u8; 48],
    /// 0x140.
    pub report_id: [u8; 32],
    /// 0x160: all ones where there is no migration agent.
    pub report_id_ma: [u8; 32],
    /// 0x180.
    pub reported_tcb: [u8; 8],
    /// 0x188: family, model, stepping; version 3 and later.
    pub cpuid: [u8; 3],
    /// 0x1A0.
    pub chip_id: [u8; 64],
    /// 0x1E0.
    pub committed_tcb: [u8; 8],
    /// 0x1E8: build, minor, major.
    pub current_firmware: [u8; 3],
    /// 0x1EC: build, minor, major.
    pub committed_firmware: [u8; 3],
    /// 0x1F0.
    pub launch_tcb: [u8; 8],
    /// 0x1F8: version 5.
    pub launch_mit_vector: u64,
    /// 0x200: version 5.
    pub current_mit_vector: u64,
    /// Bytes written over the rest before signing: offset and value. For reserved bytes.
    pub patches: Vec<(usize, u8)>,
}

impl Default for ReportFields {
    /// A version 3 report of a guest's kernel under an SVSM, signed with a VCEK.
    fn default() -> Self {
        let tcb = tcb_bytes(&TCB);
        // Firmware 1.56 is the first with version 3 reports.
        let firmware = [1, 56, 1];
        Self {
            version: 3,
            guest_svn: 0,
            policy: 0x3_0000,
            family_id: [0; 16],
            image_id: [0; 16],
            vmpl: VMPL_GUEST,
            signature_algorithm: 1,
            current_tcb: tcb,
            platform_info: 1,
            flags: 0,
            report_data: [0; 64],
            measurement: sha384(b"sealpod test guest"),
            host_data: [0; 32],
            id_key_digest: [0; 48],
            author_key_digest: [0; 48],
            report_id: [0x1d; 32],
            report_id_ma: [0xff; 32],
            reported_tcb: tcb,
            cpuid: CPUID,
            chip_id: CHIP_ID,
            committed_tcb: tcb,
            current_firmware: firmware,
            committed_firmware: firmware,
            launch_tcb: tcb,
            launch_mit_vector: 0,
            current_mit_vector: 0,
            patches: Vec::new(),
        }
    }
}

impl ReportFields {
    /// The report of the SVSM under the same guest: same everything, another level and other data.
    pub fn at_svsm(&self, report_data: [u8; 64]) -> Self {
        Self { vmpl: VMPL_SVSM, report_data, ..self.clone() }
    }

    /// The bytes with an empty signature.
    pub fn to_bytes(&self) -> [u8; LEN] {
        let mut out = [0; LEN];
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        put(0x000, &self.version.to_le_bytes());
        put(0x004, &self.guest_svn.to_le_bytes());
        put(0x008, &self.policy.to_le_bytes());
        put(0x010, &self.family_id);
        put(0x020, &self.image_id);
        put(0x030, &self.vmpl.to_le_bytes());
        put(0x034, &self.signature_algorithm.to_le_bytes());
        put(0x038, &self.current_tcb);
        put(0x040, &self.platform_info.to_le_bytes());
        put(0x048, &self.flags.to_le_bytes());
        put(0x050, &self.report_data);
        put(0x090, &self.measurement);
        put(0x0C0, &self.host_data);
        put(0x0E0, &self.id_key_digest);
        put(0x110, &self.author_key_digest);
        put(0x140, &self.report_id);
        put(0x160, &self.report_id_ma);
        put(0x180, &self.reported_tcb);
        put(0x188, &self.cpuid);
        put(0x1A0, &self.chip_id);
        put(0x1E0, &self.committed_tcb);
        put(0x1E8, &self.current_firmware);
        put(0x1EC, &self.committed_firmware);
        put(0x1F0, &self.launch_tcb);
        put(0x1F8, &self.launch_mit_vector.to_le_bytes());
        put(0x200, &self.current_mit_vector.to_le_bytes());
        self.patches.iter().for_each(|(at, byte)| put(*at, &[*byte]));
        out
    }

    /// The bytes, signed with the chip's key.
    pub fn to_bytes_signed(&self) -> [u8; LEN] {
        self.to_bytes_signed_by(Key::Vcek)
    }

    /// The bytes, signed with another P-384 key.
    pub fn to_bytes_signed_by(&self, key: Key) -> [u8; LEN] {
        let mut out = self.to_bytes();
        sign(&mut out, key);
        out
    }
}

/// Sign the first [`SIGNED_LEN`] bytes: R and S, little-endian, 72 bytes each (AMD 56860, table 139).
pub fn sign(report: &mut [u8; LEN], key: Key) {
    let signature = key.sign(Scheme::Ecdsa, &report[..SIGNED_LEN]);
    report[SIGNED_LEN..].fill(0);
    for (half, at) in signature.chunks(48).zip([SIGNED_LEN, SIGNED_LEN + 72]) {
        for (index, byte) in half.iter().rev().enumerate() {
            report[at + index] = *byte;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};
    use sealpod_evidence::reference_values::SnpTcb;
    use sealpod_evidence::snp::report::{Product, Report};

    #[test]
    fn the_default_report_parses_and_its_signature_verifies() {
        let fields = ReportFields { report_data: [7; 64], host_data: [8; 32], ..ReportFields::default() };
        let report = Report::parse(&fields.to_bytes_signed()).unwrap();
        assert_eq!((report.version(), report.vmpl()), (3, VMPL_GUEST));
        assert_eq!((report.report_data(), report.host_data()), ([7; 64], [8; 32]));
        assert_eq!(report.measurement(), fields.measurement);
        assert_eq!((report.report_id(), report.chip_id()), (fields.report_id, CHIP_ID));
        assert_eq!(report.product(), Some(Product::Genoa));
        let tcb: SnpTcb = report.reported_tcb().decode(Product::Genoa);
        assert_eq!(tcb, TCB);
        let key = UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, Key::Vcek.spki());
        key.verify(report.signed(), &report.signature()).unwrap();
        let foreign = Report::parse(&fields.to_bytes_signed_by(Key::ForeignVcek)).unwrap();
        assert!(key.verify(foreign.signed(), &foreign.signature()).is_err());
    }

    #[test]
    fn a_patch_spoils_one_reserved_byte() {
        let fields = ReportFields { patches: vec![(0x4C, 1)], ..ReportFields::default() };
        assert!(Report::parse(&fields.to_bytes_signed()).is_err());
    }
}

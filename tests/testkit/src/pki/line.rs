//! The other product lines: the same keys under other names, with each line's layout of TCB and chip id.

use super::{CHIP_ID, CPUID, Certificate, CertificateTable, Guid, TCB};
use crate::report::ReportFields;
use sealpod_evidence::reference_values::SnpTcb;

/// A product line. Everything else here is of [`Line::Genoa`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Line {
    /// EPYC 7003.
    Milan,
    /// EPYC 9004.
    #[default]
    Genoa,
    /// EPYC 9005, with an FMC version in its TCB and a chip id of eight bytes.
    Turin,
}

impl Line {
    /// As names and the VCEK's extension spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Milan => "Milan",
            Self::Genoa => "Genoa",
            Self::Turin => "Turin",
        }
    }

    /// Family, model and stepping.
    pub fn cpuid(self) -> [u8; 3] {
        match self {
            Self::Milan => [0x19, 1, 1],
            Self::Genoa => CPUID,
            Self::Turin => [0x1a, 2, 1],
        }
    }

    /// Security versions of the chip's firmware.
    pub fn tcb(self) -> SnpTcb {
        SnpTcb { fmc: (self == Self::Turin).then_some(1), ..TCB }
    }

    /// TCB_VERSION (AMD 56860, section 2.2).
    pub fn tcb_bytes(self, tcb: &SnpTcb) -> [u8; 8] {
        match self {
            Self::Milan | Self::Genoa => super::tcb_bytes(tcb),
            Self::Turin => {
                [tcb.fmc.unwrap_or_default(), tcb.bootloader, tcb.tee, tcb.snp, 0, 0, 0, tcb.microcode]
            }
        }
    }

    /// HWID in the VCEK.
    pub fn hardware_id(self) -> Vec<u8> {
        let length = if self == Self::Turin { 8 } else { CHIP_ID.len() };
        CHIP_ID[..length].to_vec()
    }

    /// A certificate of the default line as it is on this one.
    pub fn certificate(self, certificate: Certificate) -> Certificate {
        let rename = |name: String| name.replace(super::PRODUCT, self.name());
        let Certificate { subject, issuer, vek, .. } = certificate.clone();
        let vek = vek.map(|vek| super::VekExtensions {
            product: rename(vek.product),
            tcb: self.tcb(),
            hardware_id: vek.hardware_id.map(|_| self.hardware_id()),
            ..vek
        });
        Certificate { subject: rename(subject), issuer: rename(issuer), vek, ..certificate }
    }

    /// VCEK, ASK, ARK.
    pub fn table(self) -> CertificateTable {
        let certificates = [
            (Guid::VCEK, Certificate::vcek()),
            (Guid::ASK, Certificate::ask()),
            (Guid::ARK, Certificate::ark()),
        ];
        let der = |(guid, it)| (guid, self.certificate(it).to_der());
        CertificateTable(certificates.into_iter().map(der).collect())
    }

    /// A report of the default line as it is on this one.
    pub fn report(self, fields: ReportFields) -> ReportFields {
        let tcb = self.tcb_bytes(&self.tcb());
        let mut chip_id = [0; 64];
        chip_id[..self.hardware_id().len()].copy_from_slice(&self.hardware_id());
        ReportFields {
            cpuid: self.cpuid(),
            chip_id,
            current_tcb: tcb,
            reported_tcb: tcb,
            committed_tcb: tcb,
            launch_tcb: tcb,
            ..fields
        }
    }
}

//! `TDREPORT_STRUCT` (Intel TDX Module ABI specification), with true digests and a MAC of zeros.

use crate::hash::sha384;
use crate::tdx::TdFields;

/// The fields that a quote repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TdReportFields {
    /// `TEE_TCB_SVN`.
    pub tee_tcb_svn: [u8; 16],
    /// `MRSEAM`.
    pub mrseam: [u8; 48],
    /// `MRSIGNERSEAM`.
    pub mrsignerseam: [u8; 48],
    /// Attributes of the module.
    pub seam_attributes: [u8; 8],
    /// `TEE_TCB_SVN2`.
    pub tee_tcb_svn2: [u8; 16],
    /// `ATTRIBUTES`.
    pub attributes: [u8; 8],
    /// `XFAM`.
    pub xfam: [u8; 8],
    /// `MRTD`.
    pub mrtd: [u8; 48],
    /// `MRCONFIGID`.
    pub mrconfigid: [u8; 48],
    /// `MROWNER`.
    pub mrowner: [u8; 48],
    /// `MROWNERCONFIG`.
    pub mrownerconfig: [u8; 48],
    /// Runtime measurement registers; the paravisor leaves them alone.
    pub rtmr: [[u8; 48]; 4],
    /// `SERVTD_HASH`.
    pub servtd_hash: [u8; 48],
    /// What was asked to be reported.
    pub report_data: [u8; 64],
}

impl Default for TdReportFields {
    fn default() -> Self {
        // The test platform's module, so that its level is known.
        let td = TdFields::default();
        Self {
            tee_tcb_svn: td.tee_tcb_svn,
            mrseam: td.mr_seam,
            mrsignerseam: td.mr_signer_seam,
            seam_attributes: td.seam_attributes,
            tee_tcb_svn2: td.tee_tcb_svn2,
            attributes: td.td_attributes.to_le_bytes(),
            xfam: td.xfam.to_le_bytes(),
            mrtd: sha384(b"sealpod test paravisor"),
            mrconfigid: [0; 48],
            mrowner: [0; 48],
            mrownerconfig: [0; 48],
            rtmr: [[0; 48]; 4],
            servtd_hash: [0; 48],
            report_data: [0; 64],
        }
    }
}

impl TdReportFields {
    /// The body of the quote that is made from it.
    pub fn to_body(&self) -> TdFields {
        TdFields {
            tee_tcb_svn: self.tee_tcb_svn,
            mr_seam: self.mrseam,
            mr_signer_seam: self.mrsignerseam,
            seam_attributes: self.seam_attributes,
            td_attributes: u64::from_le_bytes(self.attributes),
            xfam: u64::from_le_bytes(self.xfam),
            mr_td: self.mrtd,
            mr_config_id: self.mrconfigid,
            mr_owner: self.mrowner,
            mr_owner_config: self.mrownerconfig,
            rtmr: self.rtmr,
            report_data: self.report_data,
            tee_tcb_svn2: self.tee_tcb_svn2,
            mr_service_td: self.servtd_hash,
        }
    }

    /// The 1,024 bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (tcb, info) = (self.tcb_info(), self.info());
        let mut out = vec![0x81, 0, 0, 0];
        out.extend([0; 12 + 16]);
        out.extend(sha384(&tcb));
        out.extend(sha384(&info));
        out.extend(self.report_data);
        out.extend([0; 64]);
        out.extend(tcb);
        out.extend([0; 17]);
        out.extend(info);
        out
    }

    fn tcb_info(&self) -> Vec<u8> {
        let mut out = vec![0xff, 1, 3, 0, 0, 0, 0, 0];
        out.extend(self.tee_tcb_svn);
        out.extend(self.mrseam);
        out.extend(self.mrsignerseam);
        out.extend(self.seam_attributes);
        out.extend(self.tee_tcb_svn2);
        out.resize(239, 0);
        out
    }

    fn info(&self) -> Vec<u8> {
        let mut out = self.attributes.to_vec();
        out.extend(self.xfam);
        for digest in [self.mrtd, self.mrconfigid, self.mrowner, self.mrownerconfig] {
            out.extend(digest);
        }
        self.rtmr.iter().for_each(|register| out.extend(register));
        out.extend(self.servtd_hash);
        out.resize(512, 0);
        out
    }
}

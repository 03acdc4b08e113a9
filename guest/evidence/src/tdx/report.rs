//! The report body of a trust domain, in its three lengths.

use super::attributes::{TdAttributes, Xfam};
use crate::bytes::HexArray;
use crate::reader::{ReadError, Reader};

/// Length of a TDX 1.0 body in bytes: the only one of quote version 4, type 2 of version 5.
pub const TD10_LEN: usize = 584;
/// Length of a TDX 1.5 body: type 3 of quote version 5.
pub const TD15_LEN: usize = 648;
/// Length of an extended TDX 1.5 body: type 4 of quote version 5.
pub const TD15_EXTENDED_LEN: usize = 885;

/// What a quote says of a TD. True once the signature over the quote's raw bytes verifies.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TdReport {
    /// Security versions of the TDX module and its loader when the TD was built. Byte 0: module; byte 1: which module; byte 2:
    /// microcode, loaded late.
    pub tee_tcb_svn: HexArray<16>,
    /// Measurement of the TDX module.
    pub mr_seam: HexArray<48>,
    /// Who signed the TDX module; zero for Intel.
    pub mr_signer_seam: HexArray<48>,
    /// Attributes of the TDX module, little-endian.
    pub seam_attributes: HexArray<8>,
    /// The TD's attributes.
    pub td_attributes: TdAttributes,
    /// Processor state that the TD may use.
    pub xfam: Xfam,
    /// MRTD: measurement of the TD's first memory, hence of its firmware.
    pub mr_td: HexArray<48>,
    /// MRCONFIGID: what the host was to bind at creation; in sealpod the digest of initdata.
    pub mr_config_id: HexArray<48>,
    /// MROWNER: whom the host named as owner.
    pub mr_owner: HexArray<48>,
    /// MROWNERCONFIG: what the host named as the owner's configuration.
    pub mr_owner_config: HexArray<48>,
    /// RTMR0 to RTMR3: registers that firmware, boot loader, kernel and agent extend.
    pub rtmr: [HexArray<48>; 4],
    /// What the TD asked to be reported.
    pub report_data: HexArray<64>,
    /// What TDX 1.5 added.
    pub td15: Option<Td15>,
}

/// What TDX 1.5 added to the body.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Td15 {
    /// Security versions now: of the module that runs the TD, which may have been updated since the TD was built.
    pub tee_tcb_svn2: HexArray<16>,
    /// Measurement of service TDs bound to this one (a migration TD); zero for none.
    pub mr_service_td: HexArray<48>,
    /// What the extended body added.
    pub extended: Option<Td15Extended>,
}

/// What the extended body of TDX 1.5 adds (`sgx_report2_body_v1_5_ex_t` of Intel's quote header files).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Td15Extended {
    /// Which partition the report is of: 0 for an unpartitioned TD or the one that runs the others.
    pub vm_id: u8,
    /// Names this TD; made anew at every launch.
    pub td_id: HexArray<32>,
    /// Hash of what is known of devices that were assigned.
    pub device_info: HexArray<48>,
    /// Measurement of the service TDs bound at creation.
    pub initial_service_td_hash: HexArray<48>,
    /// Attributes of the service TD bound at creation.
    pub initial_service_td_attributes: HexArray<8>,
    /// CPUSVN of the machine at creation.
    pub initial_cpu_svn: HexArray<16>,
    /// TEE_TCB_SVN at creation.
    pub initial_tee_tcb_svn: HexArray<16>,
    /// Model of the machine at creation, as far as the quoting enclave says it.
    pub initial_fmspc: HexArray<12>,
    /// Measurement of the service TDs bound now.
    pub current_service_td_hash: HexArray<48>,
    /// Attributes of the service TD bound now.
    pub current_service_td_attributes: HexArray<8>,
}

impl TdReport {
    /// MR_SERVICETD, where the body has one.
    pub fn mr_service_td(&self) -> Option<&HexArray<48>> {
        self.td15.as_ref().map(|td15| &td15.mr_service_td)
    }

    /// The current TEE_TCB_SVN, where the body has one beside that of the launch.
    pub fn tee_tcb_svn2(&self) -> Option<&HexArray<16>> {
        self.td15.as_ref().map(|td15| &td15.tee_tcb_svn2)
    }

    pub(super) fn read_td10(reader: &mut Reader<'_>) -> Result<Self, ReadError> {
        Ok(Self {
            tee_tcb_svn: HexArray(reader.array()?),
            mr_seam: HexArray(reader.array()?),
            mr_signer_seam: HexArray(reader.array()?),
            seam_attributes: HexArray(reader.array()?),
            td_attributes: TdAttributes(u64::from_le_bytes(reader.array()?)),
            xfam: Xfam(u64::from_le_bytes(reader.array()?)),
            mr_td: HexArray(reader.array()?),
            mr_config_id: HexArray(reader.array()?),
            mr_owner: HexArray(reader.array()?),
            mr_owner_config: HexArray(reader.array()?),
            rtmr: [
                HexArray(reader.array()?),
                HexArray(reader.array()?),
                HexArray(reader.array()?),
                HexArray(reader.array()?),
            ],
            report_data: HexArray(reader.array()?),
            td15: None,
        })
    }

    pub(super) fn read_td15(reader: &mut Reader<'_>, extended: bool) -> Result<Self, ReadError> {
        let report = Self::read_td10(reader)?;
        let td15 = Td15 {
            tee_tcb_svn2: HexArray(reader.array()?),
            mr_service_td: HexArray(reader.array()?),
            extended: if extended { Some(Td15Extended::read(reader)?) } else { None },
        };
        Ok(Self { td15: Some(td15), ..report })
    }
}

impl Td15Extended {
    fn read(reader: &mut Reader<'_>) -> Result<Self, ReadError> {
        Ok(Self {
            vm_id: reader.u8()?,
            td_id: HexArray(reader.array()?),
            device_info: HexArray(reader.array()?),
            initial_service_td_hash: HexArray(reader.array()?),
            initial_service_td_attributes: HexArray(reader.array()?),
            initial_cpu_svn: HexArray(reader.array()?),
            initial_tee_tcb_svn: HexArray(reader.array()?),
            initial_fmspc: HexArray(reader.array()?),
            current_service_td_hash: HexArray(reader.array()?),
            current_service_td_attributes: HexArray(reader.array()?),
        })
    }
}

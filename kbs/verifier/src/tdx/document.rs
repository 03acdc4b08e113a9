//! The two JSON documents that Intel signs: TCB Info and the identity of a quoting enclave.
//!
//! Source: Intel "Provisioning Certification Service" API 4, "Get TDX TCB Info", "Get SGX TCB Info", "Get Enclave Identity". Fields
//! that are not read here may come; a version that is not known, and a field twice, are refused.

use super::pck::COMPONENTS;
use super::status::TcbStatus;
use crate::UnixTime;
use der::DateTime;
use sealpod_evidence::bytes::HexArray;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Version of TCB Info.
const TCB_INFO_VERSION: u32 = 3;
/// Version of an enclave identity.
const IDENTITY_VERSION: u32 = 2;
/// The only rule for comparing components there is.
const TCB_TYPE: u32 = 0;
/// Most TCB levels of one document. Intel's have up to some thirty.
const MAX_LEVELS: usize = 256;

/// What levels of security versions mean, for one kind of platform.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TcbInfo {
    /// `SGX` or `TDX`.
    pub id: String,
    version: u32,
    /// Valid from here...
    #[serde(deserialize_with = "time")]
    pub issue_date: UnixTime,
    /// ...to here.
    #[serde(deserialize_with = "time")]
    pub next_update: UnixTime,
    /// The platforms.
    #[serde(deserialize_with = "hex_bytes")]
    pub fmspc: HexArray<6>,
    /// Their provisioning certification enclave.
    #[serde(deserialize_with = "hex_bytes")]
    pub pce_id: HexArray<2>,
    tcb_type: u32,
    /// Counts Intel's evaluations of TCBs.
    pub tcb_evaluation_data_number: u32,
    /// The one TDX module of early platforms.
    pub(super) tdx_module: Option<ModuleSigner>,
    /// TDX modules by their major version.
    #[serde(default)]
    pub(super) tdx_module_identities: Vec<ModuleIdentity>,
    pub(super) tcb_levels: Vec<TcbLevel>,
}

/// Who signed a TDX module, and with which attributes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ModuleSigner {
    #[serde(deserialize_with = "hex_bytes")]
    pub mrsigner: HexArray<48>,
    #[serde(deserialize_with = "hex_bytes")]
    pub attributes: HexArray<8>,
    #[serde(deserialize_with = "hex_bytes")]
    pub attributes_mask: HexArray<8>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ModuleIdentity {
    /// `TDX_` and the major version in hex.
    pub id: String,
    #[serde(flatten)]
    pub signer: ModuleSigner,
    pub tcb_levels: Vec<EnclaveLevel>,
}

/// A level of an enclave's or TDX module's own security version.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EnclaveLevel {
    pub tcb: EnclaveTcb,
    pub tcb_status: TcbStatus,
    #[serde(rename = "advisoryIDs", default)]
    pub advisory_ids: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct EnclaveTcb {
    pub isvsvn: u16,
}

/// A level of the platform.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TcbLevel {
    pub tcb: Tcb,
    pub tcb_date: String,
    pub tcb_status: TcbStatus,
    #[serde(rename = "advisoryIDs", default)]
    pub advisory_ids: Vec<String>,
}

/// Ordered as the levels are tried: by SGX components, then PCESVN, then TDX components.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) struct Tcb {
    pub sgxtcbcomponents: [Component; COMPONENTS],
    pub pcesvn: u16,
    pub tdxtcbcomponents: Option<[Component; COMPONENTS]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) struct Component {
    pub svn: u8,
}

/// What a quoting enclave must be.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnclaveIdentity {
    /// `QE` for SGX, `TD_QE` for TDX.
    pub id: String,
    version: u32,
    /// Valid from here...
    #[serde(deserialize_with = "time")]
    pub issue_date: UnixTime,
    /// ...to here.
    #[serde(deserialize_with = "time")]
    pub next_update: UnixTime,
    /// Counts Intel's evaluations of TCBs.
    pub tcb_evaluation_data_number: u32,
    #[serde(deserialize_with = "hex_bytes")]
    pub(super) miscselect: HexArray<4>,
    #[serde(deserialize_with = "hex_bytes")]
    pub(super) miscselect_mask: HexArray<4>,
    #[serde(deserialize_with = "hex_bytes")]
    pub(super) attributes: HexArray<16>,
    #[serde(deserialize_with = "hex_bytes")]
    pub(super) attributes_mask: HexArray<16>,
    #[serde(deserialize_with = "hex_bytes")]
    pub(super) mrsigner: HexArray<32>,
    pub(super) isvprodid: u16,
    pub(super) tcb_levels: Vec<EnclaveLevel>,
}

impl TcbInfo {
    /// Reads the document's bytes, which are still unsigned for whoever has only this.
    ///
    /// # Errors
    ///
    /// A text that says where it is not version 3 of TCB Info.
    pub(super) fn parse(json: &str) -> Result<Self, String> {
        let mut info: Self = serde_json::from_str(json).map_err(|error| error.to_string())?;
        if info.version != TCB_INFO_VERSION || info.tcb_type != TCB_TYPE {
            return Err(format!("version {} with TCB type {}", info.version, info.tcb_type));
        }
        if info.tcb_levels.len() > MAX_LEVELS {
            return Err(format!("{} TCB levels", info.tcb_levels.len()));
        }
        let tdx = info.id == "TDX";
        if let Some(level) = info.tcb_levels.iter().find(|level| level.tcb.tdxtcbcomponents.is_some() != tdx)
        {
            return Err(format!("TCB level of {} in {} TCB Info", level.tcb_date, info.id));
        }
        // Intel's library tries the highest first, in whatever order they come.
        info.tcb_levels.sort_by(|a, b| b.tcb.cmp(&a.tcb));
        Ok(info)
    }
}

impl EnclaveIdentity {
    /// Reads the document's bytes, which are still unsigned for whoever has only this.
    ///
    /// # Errors
    ///
    /// A text that says where it is not version 2 of an enclave identity.
    pub(super) fn parse(json: &str) -> Result<Self, String> {
        let mut identity: Self = serde_json::from_str(json).map_err(|error| error.to_string())?;
        if identity.version != IDENTITY_VERSION {
            return Err(format!("version {}", identity.version));
        }
        if identity.tcb_levels.len() > MAX_LEVELS {
            return Err(format!("{} TCB levels", identity.tcb_levels.len()));
        }
        identity.tcb_levels.sort_by_key(|level| std::cmp::Reverse(level.tcb.isvsvn));
        Ok(identity)
    }
}

/// A time like `2025-06-19T10:32:27Z`.
fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<UnixTime, D::Error> {
    let text = String::deserialize(deserializer)?;
    let time: DateTime = text.parse().map_err(|_| D::Error::custom(format!("no time: {text:?}")))?;
    Ok(time.unix_duration().as_secs())
}

/// Hex in either case, of exactly this many bytes.
fn hex_bytes<'de, const N: usize, D: Deserializer<'de>>(deserializer: D) -> Result<HexArray<N>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.to_ascii_lowercase().parse().map_err(D::Error::custom)
}

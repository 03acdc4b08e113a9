//! What can be fetched: its name, its address, and how large it may be.

use sealpod_evidence::snp::report::{Product, TcbBytes};
pub use sealpod_verifier::tdx::PckCa;
use std::fmt;
use std::str::FromStr;

/// Who hands it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Vendor {
    /// AMD's Key Distribution Service.
    Amd,
    /// Intel's Provisioning Certification Service, or a PCCS.
    Intel,
}

impl fmt::Display for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Amd => "AMD's key distribution service",
            Self::Intel => "Intel's certification service",
        })
    }
}

/// One endorsement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Item {
    /// One chip's certificate for one TCB.
    Vcek {
        /// Its product line.
        product: Product,
        /// As in the report: Turin's eight bytes are followed by zeros.
        chip_id: [u8; 64],
        /// As in the report.
        tcb: [u8; 8],
    },
    /// ASK and ARK.
    VcekChain(Product),
    /// ASVK and ARK.
    VlekChain(Product),
    /// What the root withdrew of the VCEKs' authorities.
    VcekCrl(Product),
    /// What the root withdrew of the VLEKs' authorities.
    VlekCrl(Product),
    /// TCB levels of one kind of TDX platform.
    TdxTcbInfo {
        /// Family, model, stepping, platform type, custom SKU: six bytes.
        fmspc: [u8; 6],
    },
    /// Identity of the TD quoting enclave.
    TdxQeIdentity,
    /// PCK certificates that were withdrawn.
    PckCrl(PckCa),
    /// What Intel's root withdrew.
    IntelRootCrl,
}

/// A VCEK takes 1.4 KiB (AMD 57230).
const MAX_CERTIFICATE: usize = 4 << 10;
/// Two certificates of RSA-4096 in PEM take 4.6 KiB.
const MAX_CHAIN: usize = 16 << 10;
/// AMD's lists have a handful of entries, Intel's PCK lists some hundreds of 40 bytes.
const MAX_CRL: usize = 256 << 10;
/// TCB info with twenty levels takes some 20 KiB.
const MAX_TCB_INFO: usize = 256 << 10;
/// A QE identity takes under 1 KiB.
const MAX_QE_IDENTITY: usize = 64 << 10;

impl Item {
    /// Whom to ask.
    pub fn vendor(&self) -> Vendor {
        match self {
            Self::Vcek { .. }
            | Self::VcekChain(_)
            | Self::VlekChain(_)
            | Self::VcekCrl(_)
            | Self::VlekCrl(_) => Vendor::Amd,
            Self::TdxTcbInfo { .. } | Self::TdxQeIdentity | Self::PckCrl(_) | Self::IntelRootCrl => {
                Vendor::Intel
            }
        }
    }

    /// Most bytes of an answer.
    pub fn limit(&self) -> usize {
        match self {
            Self::Vcek { .. } => MAX_CERTIFICATE,
            Self::VcekChain(_) | Self::VlekChain(_) => MAX_CHAIN,
            Self::VcekCrl(_) | Self::VlekCrl(_) | Self::PckCrl(_) | Self::IntelRootCrl => MAX_CRL,
            Self::TdxTcbInfo { .. } => MAX_TCB_INFO,
            Self::TdxQeIdentity => MAX_QE_IDENTITY,
        }
    }

    /// Whether whoever sends evidence chooses it: there are as many as there are chips, and more that are made up.
    pub fn is_chosen_by_sender(&self) -> bool {
        matches!(self, Self::Vcek { .. } | Self::TdxTcbInfo { .. })
    }

    /// Path and query under the vendor's base URL (AMD 57230, chapter 4; Intel PCS API version 4, which a PCCS repeats).
    pub fn path_and_query(&self) -> String {
        match self {
            Self::Vcek { product, tcb, .. } => {
                let tcb = TcbBytes(*tcb).decode(*product);
                let fmc = tcb.fmc.map(|fmc| format!("&fmcSPL={fmc}")).unwrap_or_default();
                format!(
                    "/vcek/v1/{}/{}?blSPL={}&teeSPL={}&snpSPL={}&ucodeSPL={}{fmc}",
                    kds_name(*product),
                    self.chip_hex(),
                    tcb.bootloader,
                    tcb.tee,
                    tcb.snp,
                    tcb.microcode
                )
            }
            Self::VcekChain(product) => format!("/vcek/v1/{}/cert_chain", kds_name(*product)),
            Self::VlekChain(product) => format!("/vlek/v1/{}/cert_chain", kds_name(*product)),
            Self::VcekCrl(product) => format!("/vcek/v1/{}/crl", kds_name(*product)),
            Self::VlekCrl(product) => format!("/vlek/v1/{}/crl", kds_name(*product)),
            Self::TdxTcbInfo { fmspc } => {
                format!("/tdx/certification/v4/tcb?fmspc={}", hex::encode_upper(fmspc))
            }
            Self::TdxQeIdentity => "/tdx/certification/v4/qe/identity".to_owned(),
            Self::PckCrl(ca) => format!("/sgx/certification/v4/pckcrl?ca={}&encoding=der", ca.as_str()),
            Self::IntelRootCrl => "/sgx/certification/v4/rootcacrl".to_owned(),
        }
    }

    /// Headers that may hold the certificates of whoever signed it, url-encoded PEM.
    pub fn issuer_headers(&self) -> &'static [&'static str] {
        match self {
            // The second is the name in version 3, which some PCCS still send.
            Self::TdxTcbInfo { .. } => &["tcb-info-issuer-chain", "sgx-tcb-info-issuer-chain"],
            Self::TdxQeIdentity => &["sgx-enclave-identity-issuer-chain"],
            Self::PckCrl(_) => &["sgx-pck-crl-issuer-chain"],
            _ => &[],
        }
    }

    fn chip_hex(&self) -> String {
        match self {
            Self::Vcek { product: Product::Turin, chip_id: [a, b, c, d, e, f, g, h, ..], .. } => {
                hex::encode([a, b, c, d, e, f, g, h].map(|byte| *byte))
            }
            Self::Vcek { chip_id, .. } => hex::encode(chip_id),
            _ => String::new(),
        }
    }
}

/// The name of its file in the cache, in the audit log and on the command line.
impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vcek { product, tcb, .. } => {
                write!(f, "vcek-{product}-{}-{}", self.chip_hex(), hex::encode(tcb))
            }
            Self::VcekChain(product) => write!(f, "vcek-chain-{product}"),
            Self::VlekChain(product) => write!(f, "vlek-chain-{product}"),
            Self::VcekCrl(product) => write!(f, "vcek-crl-{product}"),
            Self::VlekCrl(product) => write!(f, "vlek-crl-{product}"),
            Self::TdxTcbInfo { fmspc } => write!(f, "tdx-tcb-info-{}", hex::encode(fmspc)),
            Self::TdxQeIdentity => f.write_str("tdx-qe-identity"),
            Self::PckCrl(ca) => write!(f, "pck-crl-{}", ca.as_str()),
            Self::IntelRootCrl => f.write_str("intel-root-crl"),
        }
    }
}

/// A name that is no item's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected the name of an endorsement, found {found:?}")]
pub struct ItemNameError {
    /// The name.
    pub found: String,
}

impl FromStr for Item {
    type Err = ItemNameError;

    fn from_str(name: &str) -> Result<Self, ItemNameError> {
        let error = || ItemNameError { found: name.chars().take(200).collect() };
        let item = parse(name).ok_or_else(error)?;
        // One name for one item: no upper-case hex, for example.
        if item.to_string() == name { Ok(item) } else { Err(error()) }
    }
}

fn parse(name: &str) -> Option<Item> {
    let parts: Vec<&str> = name.split('-').collect();
    Some(match parts.as_slice() {
        ["vcek", "chain", product] => Item::VcekChain(parse_product(product)?),
        ["vlek", "chain", product] => Item::VlekChain(parse_product(product)?),
        ["vcek", "crl", product] => Item::VcekCrl(parse_product(product)?),
        ["vlek", "crl", product] => Item::VlekCrl(parse_product(product)?),
        ["vcek", product, chip, tcb] => {
            let tcb = hex::decode(tcb).ok()?.try_into().ok()?;
            Item::Vcek { product: parse_product(product)?, chip_id: parse_chip_id(chip)?, tcb }
        }
        ["tdx", "tcb", "info", fmspc] => {
            Item::TdxTcbInfo { fmspc: hex::decode(fmspc).ok()?.try_into().ok()? }
        }
        ["tdx", "qe", "identity"] => Item::TdxQeIdentity,
        ["pck", "crl", "processor"] => Item::PckCrl(PckCa::Processor),
        ["pck", "crl", "platform"] => Item::PckCrl(PckCa::Platform),
        ["intel", "root", "crl"] => Item::IntelRootCrl,
        _ => return None,
    })
}

/// A product line by the name in Reference Values, in any case.
pub fn parse_product(name: &str) -> Option<Product> {
    [Product::Milan, Product::Genoa, Product::Turin]
        .into_iter()
        .find(|product| product.as_str().eq_ignore_ascii_case(name))
}

/// A chip id in hex: 64 bytes, or eight, which stand for themselves and zeros.
pub fn parse_chip_id(text: &str) -> Option<[u8; 64]> {
    let bytes = hex::decode(text).ok()?;
    let mut chip_id = [0; 64];
    match bytes.len() {
        64 => chip_id.copy_from_slice(&bytes),
        8 => chip_id.iter_mut().zip(bytes).for_each(|(to, from)| *to = from),
        _ => return None,
    }
    Some(chip_id)
}

fn kds_name(product: Product) -> &'static str {
    match product {
        Product::Milan => "Milan",
        Product::Genoa => "Genoa",
        Product::Turin => "Turin",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Item> {
        let mut short = [0; 64];
        short[..8].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 0xab]);
        vec![
            Item::Vcek { product: Product::Genoa, chip_id: [0x5a; 64], tcb: [3, 0, 0, 0, 0, 0, 10, 20] },
            Item::Vcek { product: Product::Turin, chip_id: short, tcb: [1, 2, 3, 4, 0, 0, 0, 72] },
            Item::VcekChain(Product::Milan),
            Item::VlekChain(Product::Genoa),
            Item::VcekCrl(Product::Turin),
            Item::VlekCrl(Product::Milan),
            Item::TdxTcbInfo { fmspc: [0, 0x80, 0x6f, 5, 0, 0] },
            Item::TdxQeIdentity,
            Item::PckCrl(PckCa::Platform),
            Item::PckCrl(PckCa::Processor),
            Item::IntelRootCrl,
        ]
    }

    #[test]
    fn names_are_read_back() {
        for item in all() {
            assert_eq!(item.to_string().parse(), Ok(item));
        }
        for bad in ["", "vcek", "vcek-genoa", "vcek-rome-00-00", "tdx-tcb-info-00806F050000", "../x"] {
            assert!(bad.parse::<Item>().is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_are_the_vendors() {
        let found: Vec<_> = all().iter().map(Item::path_and_query).collect();
        let chip = "5a".repeat(64);
        assert_eq!(
            found,
            [
                format!("/vcek/v1/Genoa/{chip}?blSPL=3&teeSPL=0&snpSPL=10&ucodeSPL=20"),
                "/vcek/v1/Turin/01020304050607ab?blSPL=2&teeSPL=3&snpSPL=4&ucodeSPL=72&fmcSPL=1".to_owned(),
                "/vcek/v1/Milan/cert_chain".to_owned(),
                "/vlek/v1/Genoa/cert_chain".to_owned(),
                "/vcek/v1/Turin/crl".to_owned(),
                "/vlek/v1/Milan/crl".to_owned(),
                "/tdx/certification/v4/tcb?fmspc=00806F050000".to_owned(),
                "/tdx/certification/v4/qe/identity".to_owned(),
                "/sgx/certification/v4/pckcrl?ca=platform&encoding=der".to_owned(),
                "/sgx/certification/v4/pckcrl?ca=processor&encoding=der".to_owned(),
                "/sgx/certification/v4/rootcacrl".to_owned(),
            ]
        );
    }
}

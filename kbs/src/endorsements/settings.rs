//! The section `[endorsements]` of `config.toml`.

use super::item::{Item, Vendor};
use super::url::Url;
use serde::Deserialize;
use std::path::PathBuf;

/// Where Intel's own service has the root's list; it is not at the service's other addresses.
const INTEL_PCS_HOST: &str = "api.trustedservices.intel.com";
const INTEL_ROOT_CRL: &str = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der";

/// From where endorsements are fetched, and how eagerly. Nothing is fetched from a vendor whose address is not set.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EndorsementSettings {
    /// AMD's Key Distribution Service, or a cache of the same interface.
    pub amd_kds: Option<Url>,
    /// Intel's Provisioning Certification Service, or a PCCS.
    pub intel_pcs: Option<Url>,
    /// Certificates (PEM) that these servers' TLS certificates chain to, instead of the system's roots.
    pub ca_certificates: Option<PathBuf>,
    /// Longest that an attestation waits for what it lacks, in seconds.
    pub wait_seconds: u64,
    /// Longest that one request may take, in seconds.
    pub request_seconds: u64,
    /// Chips (and kinds of platform) not known yet that are asked for in a minute.
    pub chips_per_minute: u64,
    /// How many of those one address may cause.
    pub chips_per_source: u64,
    /// Fetch without TLS from elsewhere than this machine. Whoever is on the way can withhold what is newer.
    pub dangerous_plain_http: bool,
}

impl Default for EndorsementSettings {
    fn default() -> Self {
        Self {
            amd_kds: None,
            intel_pcs: None,
            ca_certificates: None,
            wait_seconds: 10,
            request_seconds: 10,
            chips_per_minute: 60,
            chips_per_source: 10,
            dangerous_plain_http: false,
        }
    }
}

impl EndorsementSettings {
    /// The address of an item, or `None` where its vendor's is not set.
    pub fn address(&self, item: &Item) -> Option<Url> {
        let base = self.base(item.vendor())?;
        if *item == Item::IntelRootCrl && base.host == INTEL_PCS_HOST {
            return INTEL_ROOT_CRL.parse().ok();
        }
        Some(base.join(&item.path_and_query()))
    }

    /// The address of a vendor's service.
    pub fn base(&self, vendor: Vendor) -> Option<&Url> {
        match vendor {
            Vendor::Amd => self.amd_kds.as_ref(),
            Vendor::Intel => self.intel_pcs.as_ref(),
        }
    }

    /// The first address that is fetched without TLS and must not be: setting and address.
    pub fn plain_http(&self) -> Option<(&'static str, &Url)> {
        let plain = |url: &Url| !url.tls && !url.is_loopback() && !self.dangerous_plain_http;
        [("endorsements.amd_kds", &self.amd_kds), ("endorsements.intel_pcs", &self.intel_pcs)]
            .into_iter()
            .find_map(|(setting, url)| url.as_ref().filter(|url| plain(url)).map(|url| (setting, url)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealpod_evidence::snp::report::Product;

    fn settings(amd: &str, intel: &str) -> EndorsementSettings {
        EndorsementSettings {
            amd_kds: Some(amd.parse().unwrap()),
            intel_pcs: Some(intel.parse().unwrap()),
            ..EndorsementSettings::default()
        }
    }

    #[test]
    fn nothing_has_an_address_by_default() {
        for item in [Item::VcekChain(Product::Milan), Item::TdxQeIdentity] {
            assert_eq!(EndorsementSettings::default().address(&item), None);
        }
    }

    #[test]
    fn addresses_are_under_the_base() {
        let found = settings("https://kds.example.org/amd", "https://api.trustedservices.intel.com");
        let address = |item: Item| found.address(&item).unwrap().to_string();
        assert_eq!(address(Item::VcekCrl(Product::Genoa)), "https://kds.example.org/amd/vcek/v1/Genoa/crl");
        assert_eq!(address(Item::IntelRootCrl), INTEL_ROOT_CRL);
        let found = settings("https://x", "https://pccs.example.org:8081");
        assert_eq!(
            found.address(&Item::IntelRootCrl).unwrap().to_string(),
            "https://pccs.example.org:8081/sgx/certification/v4/rootcacrl"
        );
    }

    #[test]
    fn without_tls_only_this_machine_is_asked() {
        assert_eq!(settings("http://127.0.0.1:1", "http://localhost:2").plain_http(), None);
        let mut found = settings("https://x", "http://pccs.example.org:8080");
        assert_eq!(found.plain_http().unwrap().0, "endorsements.intel_pcs");
        found.dangerous_plain_http = true;
        assert_eq!(found.plain_http(), None);
    }
}

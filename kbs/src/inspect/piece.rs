//! What files hold, taken apart.

use sealpod_evidence::tpm::HashAlg;
use std::collections::BTreeMap;

/// What a file was recognised as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An SNP attestation report.
    SnpReport,
    /// A TDX quote.
    TdxQuote,
    /// An SGX quote.
    SgxQuote,
    /// Azure's HCL report.
    HclReport,
    /// Confidential Containers' evidence of an Azure SNP guest.
    AzSnpVtpm,
    /// Confidential Containers' evidence of an Azure TDX guest.
    AzTdxVtpm,
    /// A TPM's boot log.
    Tcg2Log,
    /// The boot log of a TDX guest.
    Ccel,
    /// The ACPI table that says where a CCEL is.
    CcelTable,
    /// An IMA log.
    ImaLog,
    /// A TPM's quote.
    TpmQuote,
    /// A TPM's signature by itself.
    TpmSignature,
    /// A TPM 1.2's attestation.
    Tpm12,
    /// A TPM's public key.
    AttestationKey,
    /// PCR values.
    PcrValues,
    /// An `/attest` body or what `evidence show` prints.
    Bundle,
    /// X.509 certificates.
    Certificate,
    /// A certificate revocation list.
    Crl,
    /// Intel's collateral for a quote.
    Collateral,
    /// The runtime data of an HCL report.
    RuntimeData,
}

impl Kind {
    /// Every kind, with its name.
    pub const ALL: [(Self, &'static str); 20] = [
        (Self::SnpReport, "snp-report"),
        (Self::TdxQuote, "tdx-quote"),
        (Self::SgxQuote, "sgx-quote"),
        (Self::HclReport, "hcl-report"),
        (Self::AzSnpVtpm, "az-snp-vtpm"),
        (Self::AzTdxVtpm, "az-tdx-vtpm"),
        (Self::Tcg2Log, "tcg2-log"),
        (Self::Ccel, "ccel"),
        (Self::CcelTable, "ccel-table"),
        (Self::ImaLog, "ima-log"),
        (Self::TpmQuote, "tpm-quote"),
        (Self::TpmSignature, "tpm-signature"),
        (Self::Tpm12, "tpm12"),
        (Self::AttestationKey, "attestation-key"),
        (Self::PcrValues, "pcr-values"),
        (Self::Bundle, "sealpod-bundle"),
        (Self::Certificate, "certificate"),
        (Self::Crl, "crl"),
        (Self::Collateral, "tdx-collateral"),
        (Self::RuntimeData, "hcl-runtime-data"),
    ];

    /// Its name, as JSON and `--kind` spell it.
    pub fn as_str(self) -> &'static str {
        Self::ALL.into_iter().find(|(kind, _)| *kind == self).map_or("unknown", |(_, name)| name)
    }

    /// The kind of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, known)| *known == name).map(|(kind, _)| kind)
    }

    /// In words.
    pub fn title(self) -> &'static str {
        match self {
            Self::SnpReport => "AMD SEV-SNP attestation report",
            Self::TdxQuote => "Intel TDX quote",
            Self::SgxQuote => "Intel SGX quote",
            Self::HclReport => "Azure HCL report",
            Self::AzSnpVtpm => "Azure SNP guest with vTPM (az-snp-vtpm)",
            Self::AzTdxVtpm => "Azure TDX guest with vTPM (az-tdx-vtpm)",
            Self::Tcg2Log => "TPM boot log",
            Self::Ccel => "TDX boot log (CCEL)",
            Self::CcelTable => "CCEL ACPI table",
            Self::ImaLog => "Linux IMA log",
            Self::TpmQuote => "TPM quote",
            Self::TpmSignature => "TPM signature",
            Self::Tpm12 => "TPM 1.2 attestation",
            Self::AttestationKey => "TPM public key",
            Self::PcrValues => "PCR values",
            Self::Bundle => "sealpod evidence bundle",
            Self::Certificate => "X.509 certificates",
            Self::Crl => "Certificate revocation list",
            Self::Collateral => "Intel quote collateral",
            Self::RuntimeData => "HCL runtime data",
        }
    }

    /// Whether it only serves the appraisal of something else.
    pub fn is_aid(self) -> bool {
        matches!(
            self,
            Self::AttestationKey
                | Self::PcrValues
                | Self::Certificate
                | Self::Crl
                | Self::Collateral
                | Self::RuntimeData
                | Self::CcelTable
        )
    }
}

/// PCR values by bank and index.
pub type Pcrs = BTreeMap<HashAlg, BTreeMap<u8, Vec<u8>>>;

/// A quote, its signature and the values beside it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TpmQuote {
    /// `TPMS_ATTEST`.
    pub message: Vec<u8>,
    /// `TPMT_SIGNATURE`, or the bare signature.
    pub signature: Option<Vec<u8>>,
    /// The values that came with it.
    pub pcrs: Pcrs,
    /// The challenge that the file says it answers.
    pub nonce: Option<Vec<u8>>,
}

/// How an IMA log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImaForm {
    /// `binary_runtime_measurements`.
    Binary,
    /// `ascii_runtime_measurements`.
    Ascii,
}

/// What one file holds, or several that belong together.
#[derive(Debug, Clone)]
pub struct Piece {
    /// What it is.
    pub kind: Kind,
    /// Names of the files.
    pub files: Vec<String>,
    /// How it was written down: `hex text`, ...
    pub form: Vec<String>,
    /// SNP report.
    pub snp_report: Option<Vec<u8>>,
    /// The host's certificate table.
    pub certificate_table: Option<Vec<u8>>,
    /// Intel quote, with whatever follows it.
    pub intel_quote: Option<Vec<u8>>,
    /// HCL blob.
    pub hcl: Option<Vec<u8>>,
    /// Version of an az-* evidence.
    pub az_version: Option<u32>,
    /// Quotes.
    pub tpm_quotes: Vec<TpmQuote>,
    /// Attestation key in any form, `None` inside where only a certificate has it.
    pub ak: Option<Vec<u8>>,
    /// Boot log.
    pub boot_log: Option<Vec<u8>>,
    /// CCEL area.
    pub ccel: Option<Vec<u8>>,
    /// IMA log.
    pub ima_log: Option<(Vec<u8>, ImaForm)>,
    /// PCR values that came by themselves.
    pub pcrs: Pcrs,
    /// Certificates, DER.
    pub certificates: Vec<Vec<u8>>,
    /// Revocation lists, DER.
    pub crls: Vec<Vec<u8>>,
    /// Collateral documents, as text.
    pub collateral: Vec<String>,
    /// HCL runtime data.
    pub runtime_data: Option<Vec<u8>>,
    /// `/attest` body and, from the archive, what was decided on it and when.
    pub bundle: Option<(Vec<u8>, Option<serde_json::Value>)>,
    /// Anything else, for the kinds that are only shown.
    pub other: Vec<u8>,
}

impl Piece {
    /// Nothing yet.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            files: Vec::new(),
            form: Vec::new(),
            snp_report: None,
            certificate_table: None,
            intel_quote: None,
            hcl: None,
            az_version: None,
            tpm_quotes: Vec::new(),
            ak: None,
            boot_log: None,
            ccel: None,
            ima_log: None,
            pcrs: Pcrs::new(),
            certificates: Vec::new(),
            crls: Vec::new(),
            collateral: Vec::new(),
            runtime_data: None,
            bundle: None,
            other: Vec::new(),
        }
    }

    /// All PCR values in it.
    pub fn all_pcrs(&self) -> Pcrs {
        let mut all = self.pcrs.clone();
        for quote in &self.tpm_quotes {
            for (bank, values) in &quote.pcrs {
                all.entry(*bank).or_default().extend(values.iter().map(|(i, v)| (*i, v.clone())));
            }
        }
        all
    }
}

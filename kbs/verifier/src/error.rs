//! Why evidence was refused.

/// A check that did not hold, with what was expected and what was found.
///
/// The two texts are for people and for the audit log; programs look at [`VerifyError::check`]. Texts that come from the
/// sender are cut to a bounded length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("step {}, {}: expected {expected}, found {found}", check.step(), check.name())]
pub struct VerifyError {
    /// Which check.
    pub check: Check,
    /// What would have been accepted.
    pub expected: String,
    /// What the evidence says.
    pub found: String,
}

/// Longest text kept of either side.
const MAX_TEXT: usize = 2048;

impl VerifyError {
    /// A refusal by `check`.
    pub fn new(check: Check, expected: impl std::fmt::Display, found: impl std::fmt::Display) -> Self {
        let cut = |text: String| match text.char_indices().nth(MAX_TEXT) {
            Some((at, _)) => format!("{}…", &text[..at]),
            None => text,
        };
        Self { check, expected: cut(expected.to_string()), found: cut(found.to_string()) }
    }
}

/// Declares [`Check`] with each check's step and name in one place.
macro_rules! checks {
    ($($(#[doc = $doc:literal])+ $variant:ident = $step:literal, $name:literal;)+) => {
        /// Every check there is. A check belongs to one step of [`crate::verify`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Check { $($(#[doc = $doc])+ $variant,)+ }

        impl Check {
            /// All checks in step order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The number of its step.
            pub fn step(self) -> u8 {
                match self { $(Self::$variant => $step,)+ }
            }

            /// Its name, as audit lines and refusals carry it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

checks! {
    /// A part is larger than its budget.
    Budget = 1, "budget";
    /// The body of `/attest` is not one JSON object as the protocol has it, without arrays and without a key twice.
    Body = 1, "body";
    /// The primary evidence does not parse.
    PrimaryEvidence = 1, "primary-evidence";
    /// The certificate table beside the report does not parse.
    CertificateTable = 1, "certificate-table";
    /// The additional evidence is missing or does not parse.
    AdditionalEvidence = 1, "additional-evidence";
    /// A version that is not known.
    EvidenceVersion = 1, "evidence-version";
    /// A TPM structure does not parse.
    TpmStructure = 1, "tpm-structure";
    /// The PCR values are not one value for each quoted PCR.
    PcrValues = 1, "pcr-values";
    /// The boot log does not parse.
    BootLogSyntax = 1, "boot-log-syntax";
    /// The IMA log does not parse, or is of a bank that cannot be replayed.
    ImaLogSyntax = 1, "ima-log-syntax";
    /// The IMA log does not begin at its first entry.
    ImaLogStart = 1, "ima-log-start";
    /// The workload log does not parse.
    WorkloadLogSyntax = 1, "workload-log-syntax";
    /// initdata is missing or does not parse.
    InitdataSyntax = 1, "initdata-syntax";

    /// The challenge is too old.
    ChallengeExpired = 2, "challenge-expired";
    /// The nonce is not the challenge's.
    ChallengeNonce = 2, "challenge-nonce";
    /// The TEE is not the one that asked.
    ChallengeTee = 2, "challenge-tee";

    /// The root is not one that is trusted.
    TrustRoot = 3, "trust-root";
    /// A certificate of the chain is missing.
    ChainIncomplete = 3, "chain-incomplete";
    /// A certificate does not parse or has an algorithm that its maker does not use.
    CertificateSyntax = 3, "certificate-syntax";
    /// A certificate is not signed by its issuer's key.
    CertificateSignature = 3, "certificate-signature";
    /// Issuer and subject do not chain, or are not AMD's names for that certificate.
    CertificateName = 3, "certificate-name";
    /// A CA certificate without the CA flag or key usage, or a leaf with it.
    CertificateAuthority = 3, "certificate-authority";
    /// A certificate is not valid at this time.
    CertificateValidity = 3, "certificate-validity";
    /// A revocation list is missing though demanded, not valid, or not signed by the root.
    RevocationList = 3, "revocation-list";
    /// A certificate is revoked.
    CertificateRevoked = 3, "certificate-revoked";
    /// There is no collateral for the platform, or it is not well formed.
    Collateral = 3, "collateral";
    /// TCB Info or a quoting enclave's identity is not signed by Intel's TCB signing key.
    CollateralSignature = 3, "collateral-signature";
    /// TCB Info or a quoting enclave's identity is not valid at this time.
    CollateralValidity = 3, "collateral-validity";

    /// The certificate is of another TCB.
    CertificateTcb = 4, "certificate-tcb";
    /// The certificate is of another chip.
    CertificateHardwareId = 4, "certificate-hardware-id";
    /// The certificate is of another product line.
    CertificateProduct = 4, "certificate-product";
    /// The PCK certificate does not say which platform it is for.
    PckExtensions = 4, "pck-extensions";
    /// The quoting enclave's report is not signed by the platform's PCK.
    QeReportSignature = 4, "qe-report-signature";
    /// The quoting enclave's report does not bind the attestation key.
    QeReportData = 4, "qe-report-data";
    /// The collateral is about another platform, another enclave or another kind of TEE.
    Fmspc = 4, "fmspc";
    /// The quoting enclave is not the one that Intel names.
    QeIdentity = 4, "qe-identity";
    /// The quoting enclave is below every TCB level.
    QeTcbLevel = 4, "qe-tcb-level";
    /// The platform is below every TCB level.
    TcbLevel = 4, "tcb-level";
    /// The TDX module is not one that Intel names, or below every level.
    TdxModule = 4, "tdx-module";
    /// The status of the TCB is not one that the owner takes.
    TcbStatus = 4, "tcb-status";
    /// An advisory applies that the owner has not accepted.
    TcbAdvisory = 4, "tcb-advisory";

    /// The signature algorithm is not ECDSA P-384 with SHA-384.
    SignatureAlgorithm = 5, "signature-algorithm";
    /// Reserved or padding bytes are not zero.
    ReservedBytes = 5, "reserved-bytes";
    /// The report's signature does not verify.
    ReportSignature = 5, "report-signature";

    /// The quote is of another kind of TEE than was asked for.
    TeeType = 6, "tee-type";
    /// A reserved attribute of the TD is set, or one is missing that it needs.
    TdAttributes = 6, "td-attributes";
    /// A service TD is bound to the TD.
    ServiceTd = 6, "service-td";
    /// The signing key kind is not the certificate's.
    SigningKey = 6, "signing-key";
    /// The VMPL is not one that a guest has: the host asked for the report.
    Vmpl = 6, "vmpl";
    /// The policy allows debugging.
    DebugAllowed = 6, "debug-allowed";
    /// The policy allows a migration agent.
    MigrationAllowed = 6, "migration-allowed";
    /// Simultaneous multithreading is on though the policy of the owner forbids it.
    Smt = 6, "smt";
    /// The guest's least ABI is below the owner's.
    AbiVersion = 6, "abi-version";
    /// A mitigation that the owner demands was not verified by the firmware, or the report does not say.
    Mitigations = 6, "mitigations";
    /// The reported or the launch TCB is below the owner's least TCB, or none is listed for the product.
    MinimumTcb = 6, "minimum-tcb";
    /// Reported, committed, current and launch TCB contradict each other (a roll-back's shape).
    TcbOrder = 6, "tcb-order";

    /// The report does not bind this nonce, this key and this vTPM evidence.
    ReportData = 7, "report-data";
    /// The paravisor's report does not name this challenge in its user data.
    RuntimeUserData = 7, "runtime-user-data";

    /// The launch digest is not a Reference Value.
    LaunchDigest = 8, "launch-digest";
    /// The guest's kernel runs at another VMPL than the Reference Value for that launch says.
    LaunchVmpl = 8, "launch-vmpl";
    /// HOST_DATA is not the digest of the initdata sent.
    HostData = 8, "host-data";
    /// The initdata is not a Reference Value.
    InitdataReference = 8, "initdata-reference";
    /// The id block is not signed by an accepted key.
    IdBlockKey = 8, "id-block-key";
    /// The id block is not signed by an accepted author.
    IdBlockAuthor = 8, "id-block-author";

    /// The binding level is lower than the appraisal policy takes.
    BindingLevel = 9, "binding-level";
    /// An SVSM's word for a guest that was launched without one, which could have asked for it itself.
    SvsmUnexpected = 9, "svsm-unexpected";
    /// The SVSM's report does not parse, is not signed, or is not VMPL 0.
    SvsmReport = 9, "svsm-report";
    /// The SVSM's report does not bind this nonce and this manifest.
    SvsmReportData = 9, "svsm-report-data";
    /// The SVSM's report is another guest's.
    SvsmSameGuest = 9, "svsm-same-guest";
    /// The manifest does not name the endorsement key sent.
    SvsmManifest = 9, "svsm-manifest";
    /// The hardware's report does not cover the paravisor's runtime data.
    RuntimeData = 9, "runtime-data";
    /// The TDREPORT in the paravisor's report is not the one that the TD quote was made from.
    TdReport = 9, "td-report";

    /// The endorsement key is not a restricted decryption key fixed to its TPM.
    EkAttributes = 10, "ek-attributes";
    /// The attestation key is not a restricted signing key fixed to its TPM.
    AkAttributes = 10, "ak-attributes";
    /// The credential was not activated for this nonce, EK and AK.
    Credential = 10, "credential";
    /// The endorsement key's certificate is not one that a TPM's vendor gives to an endorsement key.
    EkCertificate = 10, "ek-certificate";
    /// The certificate is another endorsement key's.
    EkCertificateKey = 10, "ek-certificate-key";
    /// The attestation key of a node is not the one that was enrolled.
    EnrolledKey = 10, "enrolled-key";

    /// The quote's magic or type is not a quote's.
    QuoteType = 11, "quote-type";
    /// The quote answers another challenge or key.
    QuoteNonce = 11, "quote-nonce";
    /// The quote is of other PCRs than those asked for.
    QuoteSelection = 11, "quote-selection";
    /// The PCR values sent are not those quoted.
    QuotePcrDigest = 11, "quote-pcr-digest";
    /// The quote's signature does not verify.
    QuoteSignature = 11, "quote-signature";
    /// The quote rests on SHA-1, in its signature or in all of its banks.
    WeakHash = 11, "weak-hash";

    /// The boot log does not replay to the quoted PCRs.
    BootLogReplay = 12, "boot-log-replay";
    /// A separator is missing from the boot log, or says that firmware met an error.
    BootSeparator = 12, "boot-separator";
    /// A register has two separators in the boot log.
    BootSeparatorTwice = 12, "boot-separator-twice";
    /// An event of the boot log does not extend the digest of its data, as events of its type do.
    BootEventData = 12, "boot-event-data";
    /// Firmware measured something after it had said that it was done, or an image was started after ExitBootServices.
    BootEventOrder = 12, "boot-event-order";
    /// The boot log stops before ExitBootServices, or the call failed.
    ExitBootServices = 12, "exit-boot-services";
    /// The boot is none of the Reference Values.
    BootReference = 12, "boot-reference";
    /// No event of the boot covers the ACPI tables, and the owner did not accept that.
    UnmeasuredAcpi = 12, "unmeasured-acpi";
    /// PCR 8 is not initdata's.
    InitdataPcr = 12, "initdata-pcr";

    /// The first entry is not this boot's aggregate, or the kernel had no TPM.
    BootAggregate = 13, "boot-aggregate";
    /// A template digest is not that of its data.
    ImaTemplateDigest = 13, "ima-template-digest";
    /// No prefix of the log replays to PCR 10.
    ImaReplay = 13, "ima-replay";
    /// More IMA violations than the owner accepts.
    ImaViolation = 13, "ima-violation";

    /// A file was executed or mapped that is in no image.
    ForeignFile = 14, "foreign-file";
    /// A file of a container image was executed or mapped with a set-user-id or set-group-id bit.
    SetIdFile = 14, "set-id-file";
    /// There are no Reference Values for the files of an image.
    FileReference = 14, "file-reference";
    /// A file that is in no set bears a signature that is malformed, by a key that is not accepted, or not of this file.
    FileSignature = 14, "file-signature";
    /// More signatures of files than are checked for one log.
    SignatureBudget = 14, "signature-budget";
    /// A buffer was measured (a key, a device-mapper table, other critical data) that is no Reference Value.
    MeasuredBuffer = 14, "measured-buffer";
    /// An entry of a kernel that was started by another one, or of the preparation for that.
    KexecCarryOver = 14, "kexec-carry-over";
    /// An entry of a kind that an appraisal cannot judge, or in a template whose fields the sender
    /// could have named itself.
    UnexpectedMeasurement = 14, "unexpected-measurement";

    /// The workload log does not replay to PCR 13.
    WorkloadReplay = 15, "workload-replay";
    /// A container was started that initdata does not allow.
    WorkloadNotAllowed = 15, "workload-not-allowed";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_listed_in_step_order_with_distinct_names() {
        assert!(Check::ALL.is_sorted_by_key(|check| check.step()));
        let mut names: Vec<_> = Check::ALL.iter().map(|check| check.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Check::ALL.len());
    }

    #[test]
    fn texts_of_the_sender_are_cut() {
        let error = VerifyError::new(Check::Budget, "x", "é".repeat(10_000));
        assert!(error.found.chars().count() == MAX_TEXT + 1);
    }
}

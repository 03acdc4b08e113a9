//! Reference Values proposed from one machine's evidence, for an owner to review.
//!
//! What a machine shows is not what an owner wants: this document says what *that* machine was, good or bad. So every part of it
//! says so, nothing that weakens an appraisal is ever proposed, and each value stands beside what it was read from.

use super::bundle;
use super::ima::ReadLog;
use super::piece::Piece;
use super::tdx;
use super::uefi;
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::ima::{DigestKind, HashAlgorithm};
use sealpod_evidence::reference_values::{
    BootEvent, BootReference, FileSet, InitdataReference, ReferenceDocument, SnpMeasurement, VERSION,
};
use sealpod_evidence::snp::report::Report;
use sealpod_evidence::tcg2::{ALG_SHA256, BootLog, Event, event_type_name};
use std::collections::BTreeMap;

/// What every description begins with.
const HEADER: &str = "REVIEW BEFORE USE: proposed by `sealpod-kbs evidence learn` from";
/// PCRs that a boot reference may list.
const BOOT_PCRS: std::ops::RangeInclusive<u32> = 0..=9;
/// PCR that the agent extends with initdata; its events are the loader's.
const MAX_FILES: usize = 1 << 20;

/// A proposal, and remarks for whoever reviews it.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// The document.
    pub document: ReferenceDocument,
    /// What was left out, and why.
    pub remarks: Vec<String>,
}

/// Propose Reference Values from pieces of one machine; `None` where they hold nothing that a document can.
pub fn learn(pieces: &[Piece]) -> Option<Proposal> {
    let files: Vec<&str> = pieces.iter().flat_map(|piece| &piece.files).map(String::as_str).collect();
    let source = files.join(", ");
    let description = format!("{HEADER} {source}. It says what that machine was, not what it should be.");
    let document = ReferenceDocument { version: VERSION, description, ..ReferenceDocument::default() };
    let mut proposal = Proposal { document, remarks: Vec::new() };
    for piece in pieces {
        if let Some(initdata) = bundle::initdata_of(piece) {
            let description = format!("initdata in {source}");
            proposal.document.initdata.push(InitdataReference { sha256: initdata.digest(), description });
            for rule in &initdata.policy().containers {
                let description = format!("container image of {source}: move its files here");
                let set = FileSet { image: Some(rule.spec.image), description, files: BTreeMap::new() };
                if !proposal.document.files.iter().any(|known| known.image == set.image) {
                    proposal.document.files.push(set);
                }
            }
        }
        let inner = bundle::parts(piece);
        proposal.add(inner.as_ref().unwrap_or(piece), &source);
    }
    let document = &proposal.document;
    let empty = document.snp_measurements.is_empty()
        && document.snp_minimum_tcb.is_empty()
        && document.tdx_measurements.is_empty()
        && document.initdata.is_empty()
        && document.boot.is_empty()
        && document.files.is_empty();
    (!empty).then_some(proposal)
}

impl Proposal {
    fn add(&mut self, piece: &Piece, source: &str) {
        if let Some(Ok(report)) = piece.snp_report.as_deref().map(Report::parse) {
            self.snp(&report, source);
        }
        if let Some(bytes) = piece.intel_quote.as_deref() {
            match tdx::measurement(bytes, format!("MRTD and RTMR0-2 in {source}")) {
                Ok(Some(measurement)) => self.document.tdx_measurements.push(measurement),
                Ok(None) => self.remark("an SGX quote has no launch digest of a TD"),
                Err(error) => self.remark(format!("the quote was left out: {}", error.found)),
            }
        }
        if let Some(log) = piece.boot_log.as_deref() {
            self.boot(log, source);
        }
        if let Some((bytes, form)) = &piece.ima_log {
            match ReadLog::of(bytes, *form) {
                Ok(log) => self.files(&log, source),
                Err(error) => self.remark(format!("the IMA log was left out: {}", error.found)),
            }
        }
    }

    fn snp(&mut self, report: &Report, source: &str) {
        if report.policy().debug_allowed() {
            self.remark("the guest was launched for debugging, so nothing in its report should become a Reference Value as it stands");
        }
        let guest_vmpl = u8::try_from(report.vmpl()).unwrap_or(0);
        self.document.snp_measurements.push(SnpMeasurement {
            measurement: HexArray(report.measurement()),
            guest_vmpl,
            description: format!(
                "launch digest in {source}; say what firmware, kernel, initrd, command line and number of vCPUs it was computed from"
            ),
        });
        if guest_vmpl > 0 {
            self.remark(format!(
                "guest_vmpl {guest_vmpl} says that the launch puts an SVSM at VMPL 0: make sure that it does"
            ));
        }
        match report.product() {
            Some(product) => {
                let tcb = report.reported_tcb().decode(product);
                self.document.snp_minimum_tcb.insert(product.as_str().to_owned(), tcb);
            }
            None => {
                self.remark("a version 2 report does not name its processor, so snp_minimum_tcb was left out")
            }
        }
    }

    fn boot(&mut self, log: &[u8], source: &str) {
        let log = match BootLog::parse(log).or_else(|error| BootLog::parse_area(log).map_err(|_| error)) {
            Ok(log) => log,
            Err(error) => return self.remark(format!("the boot log was left out: {error}")),
        };
        let mut events: BTreeMap<u8, Vec<BootEvent>> = BTreeMap::new();
        for event in log.events().filter(Event::is_extended) {
            let digest = event.digests.get(ALG_SHA256).and_then(|digest| digest.try_into().ok());
            let (Some(sha256), Ok(pcr)) = (digest.map(HexArray), u8::try_from(event.pcr)) else {
                return self.remark("the boot log was left out: an event in it has no SHA-256 digest");
            };
            if !BOOT_PCRS.contains(&event.pcr) {
                continue;
            }
            events.entry(pcr).or_default().push(BootEvent {
                event_type: event_type_name(event.event_type).into_owned(),
                sha256,
                description: uefi::describe(&event),
                acpi: event.says_acpi_data(),
            });
        }
        let boot = BootReference {
            description: format!("boot in {source}"),
            events,
            dangerous_unmeasured_acpi: false,
        };
        if !boot.measures_acpi() {
            self.remark("no event of this boot covers the ACPI tables, so it is refused unless the owner sets dangerous_unmeasured_acpi");
        }
        self.document.boot.push(boot);
    }

    fn files(&mut self, log: &ReadLog, source: &str) {
        let mut files: BTreeMap<String, Vec<HexArray<32>>> = BTreeMap::new();
        let (mut weak, mut violations, mut odd) = (0_u64, 0_u64, 0_u64);
        for entry in log.log().entries().take(MAX_FILES) {
            let Ok(entry) = entry else { break };
            let Ok(fields) = entry.fields() else { continue };
            if entry.is_violation() {
                violations += 1;
                continue;
            }
            let name = fields.name.and_then(|name| std::str::from_utf8(name).ok());
            let Some(path) = name.filter(|name| name.starts_with('/')) else {
                odd += u64::from(!entry.is_boot_aggregate());
                continue;
            };
            let digest = fields.digest.filter(|digest| {
                digest.kind == DigestKind::Content && digest.algorithm == HashAlgorithm::Sha256
            });
            let Some(sha256) = digest.and_then(|digest| digest.value.try_into().ok()).map(HexArray) else {
                weak += 1;
                continue;
            };
            let known = files.entry(path.to_owned()).or_default();
            if !known.contains(&sha256) {
                known.push(sha256);
            }
        }
        for (count, what) in [
            (weak, "entries of other digests than SHA-256 over the content"),
            (violations, "violations: what those files were is not known"),
            (odd, "entries that are no file with an absolute path"),
        ] {
            if count > 0 {
                self.remark(format!("left out of the files: {count} {what}"));
            }
        }
        if !files.is_empty() {
            self.remark("every file is listed for the guest image: move those of a container image to a set with that image's digest");
            let description = format!("files that ran in {source}");
            self.document.files.push(FileSet { image: None, description, files });
        }
    }

    fn remark(&mut self, text: impl Into<String>) {
        self.remarks.push(text.into());
    }
}

//! The whole verification of SNP evidence, reached through a valid pod that is spoiled and then signed again.
//!
//! Plain bytes would fail at the first signature. So the input is a list of changes: some before the pod's evidence is made, so
//! that all that depends on them follows; some after, each signed by the layers around it. What is still accepted must be the
//! owner's pod.

use aws_lc_rs::digest::{SHA384, digest};
use kbs_types::Tee;
use sealpod_evidence::bytes::Base64;
use sealpod_evidence::ima::{self, Log};
use sealpod_evidence::snp::report::{Product, SIGNED_LEN};
use sealpod_evidence::tcg2::BootLog;
use sealpod_testkit::keys::Key;
use sealpod_testkit::logs::{BootEvent, ImaEntry};
use sealpod_testkit::tpm::Digests;
use sealpod_testkit::{Bundle, Sealed, hash, pki};
use sealpod_verifier::ima::BankReplay;
use sealpod_verifier::{
    AppraisalPolicy, Challenge, CredentialKey, Endorsements, Input, ReferenceValues, SnpRoot, parse_body,
    verify,
};
use std::sync::OnceLock;

/// Most changes of one input: more would only hide each other.
const MAX_CHANGES: usize = 4;

struct World {
    bundle: Bundle,
    endorsements: Endorsements,
    reference: ReferenceValues,
    policy: AppraisalPolicy,
}

impl World {
    fn get() -> &'static Self {
        static WORLD: OnceLock<World> = OnceLock::new();
        WORLD.get_or_init(|| {
            let mut bundle = Bundle::valid();
            bundle.activated_credential = CredentialKey::new(&[7; 32])
                .credential(&bundle.nonce, &bundle.tpm.ek_name(), &bundle.tpm.ak_name())
                .to_vec();
            let spki_sha384 = digest(&SHA384, &Key::Ark.spki()).as_ref().try_into().expect("48 bytes");
            let root = SnpRoot { product: Product::Genoa, spki_sha384 };
            let mut world = Self {
                endorsements: Endorsements::new(vec![root]),
                reference: ReferenceValues::from_documents(&[bundle.reference()]).expect("its own values"),
                policy: AppraisalPolicy::default(),
                bundle,
            };
            let sealed = world.bundle.seal();
            let result = world.verify(&serde_json::to_vec(&sealed.attestation()).expect("JSON"));
            let key = result.expect("the valid pod").snp_key().expect("a chip's key").clone();
            world.endorsements.remember(key);
            world
        })
    }

    fn verify(
        &self,
        body: &[u8],
    ) -> Result<sealpod_verifier::AttestationResult, sealpod_verifier::VerifyError> {
        let challenge = Challenge {
            nonce: self.bundle.nonce.clone(),
            tee: Tee::Snp,
            expires: pki::NOW + 60,
            credential_key: CredentialKey::new(&[7; 32]),
        };
        verify(&Input {
            attestation: &parse_body(body)?,
            challenge: &challenge,
            endorsements: &self.endorsements,
            reference: &self.reference,
            policy: &self.policy,
            now: pki::NOW,
        })
    }
}

/// Make the changes, and verify.
pub fn run(data: &[u8]) {
    let world = World::get();
    let mut input = Bytes(data);
    let mut bundle = world.bundle.clone();
    for _ in 0..MAX_CHANGES {
        match input.byte() {
            0 => break,
            op => change(&mut bundle, op, &mut input),
        }
    }
    let mut sealed = bundle.seal();
    for _ in 0..MAX_CHANGES {
        match input.byte() {
            0 => break,
            op => spoil(&mut sealed, op, &mut input),
        }
    }
    let mut body = serde_json::to_vec(&sealed.attestation()).expect("JSON");
    if input.byte() == 1 {
        input.splice(&mut body);
    }
    let Ok(result) = world.verify(&body) else {
        assert!(!data.is_empty(), "the valid pod is refused");
        return;
    };
    // The body may have been changed so that it means the same (white space); what was appraised must be the owner's.
    let valid = &world.bundle;
    assert_eq!(sealed.report.measurement, valid.report.measurement);
    assert_eq!(sealed.report.policy & (1 << 19), 0, "a debug guest");
    assert_eq!(sealed.initdata.as_deref(), Some(valid.initdata().text()));
    assert_eq!(sealed.report.vmpl, valid.report.vmpl);
    assert_eq!(sealed.nonce, valid.nonce);
    let known = |entry: &ImaEntry| {
        let files = valid.guest_files.iter().chain(&valid.image_files);
        entry.violation
            || files.into_iter().any(|(path, digest)| (path, digest) == (&entry.path, &entry.digest))
    };
    let covered = bundle.ima_log.entries.len().saturating_sub(bundle.ima_log.after_quote);
    assert!(
        bundle.ima_log.entries.iter().take(covered).all(known),
        "an unknown file: {:?}",
        bundle.ima_log.entries
    );
    assert!(result.uncovered_ima_entries() <= bundle.ima_log.entries.len() as u64 + 1 + data.len() as u64);
}

/// Before the evidence is made: all that depends on it follows.
fn change(bundle: &mut Bundle, op: u8, input: &mut Bytes<'_>) {
    let entries = &mut bundle.ima_log.entries;
    match op % 12 {
        0 => bundle.report.patches.push((input.short() % SIGNED_LEN, input.byte())),
        1 => input.splice(&mut bundle.certificates),
        2 => {
            if let Some(entry) = input.pick(entries) {
                input.splice_text(&mut entry.path);
            }
        }
        3 => {
            if let Some(entry) = input.pick(entries) {
                entry.digest[0] ^= input.byte();
                entry.mode = input.short() as u16;
                entry.uid = u32::from(input.byte());
                entry.violation = input.byte() == 1;
            }
        }
        4 => {
            let path = String::from_utf8_lossy(input.take()).into_owned();
            let digest = hash::sha256(path.as_bytes());
            let at = input.short() % (entries.len() + 1);
            entries.insert(at, ImaEntry::file(&path, digest));
        }
        5 => bundle.ima_log.after_quote = input.short() % (entries.len() + 1),
        6 => {
            if let Some(event) = input.pick(&mut bundle.boot_log.events) {
                input.splice(&mut event.data);
            }
        }
        7 => {
            let (pcr, kind) = (input.byte() % 24, input.short() as u32);
            let event = BootEvent::of_data(pcr.into(), kind, input.take());
            let at = input.short() % (bundle.boot_log.events.len() + 1);
            bundle.boot_log.events.insert(at, event);
        }
        8 => {
            if let Some(record) = input.pick(&mut bundle.workload) {
                input.splice(&mut record.content);
                record.sha256 = hash::sha256(&record.content);
            }
        }
        9 => {
            if let Some(rule) = input.pick(&mut bundle.policy.containers) {
                rule.spec.args.push(String::from_utf8_lossy(input.take()).into_owned());
                rule.allow_input = input.byte() == 1;
            }
        }
        10 => bundle.svsm = input.byte() == 1,
        _ => input.splice(&mut bundle.activated_credential),
    }
}

/// After the evidence was made: signed and bound again by the layers around.
fn spoil(sealed: &mut Sealed, op: u8, input: &mut Bytes<'_>) {
    match op % 12 {
        0 => {
            input.splice(&mut sealed.additional.tpm.boot_log.0);
            replay_boot(sealed);
            sealed.requote();
        }
        1 => {
            input.splice(&mut sealed.additional.tpm.ima_log.data.0);
            replay_ima(sealed);
            sealed.requote();
        }
        2 => {
            input.splice(&mut sealed.additional.tpm.workload_log.0);
            sealed.requote();
        }
        3 => {
            input.splice_text(&mut sealed.additional_text);
            sealed.rebind_text();
        }
        4 => {
            if let Some(text) = &mut sealed.initdata {
                input.splice_text(text);
                sealed.report.host_data = hash::sha256(text.as_bytes());
                let digest = sealed.report.host_data;
                sealed.tpm.pcrs.sha256[8] = [0; 32];
                sealed.tpm.pcrs.extend(8, &Digests { sha256: digest, ..Digests::filled(0) });
            }
            sealed.requote();
        }
        5 => {
            input.splice(&mut sealed.attest.extra_data);
            sealed.attest.clock ^= u64::from(input.byte());
            sealed.attest.magic ^= u32::from(input.byte());
            sealed.resign_quote();
        }
        6 => {
            let mut message = sealed.attest.to_bytes();
            input.splice(&mut message);
            sealed.additional.tpm.quote.signature = Base64(sealed.tpm.sign(&message));
            sealed.additional.tpm.quote.message = Base64(message);
            sealed.rebind();
        }
        7 => {
            input.splice(&mut sealed.additional.tpm.quote.signature.0);
            sealed.rebind();
        }
        8 => {
            let mut manifest =
                sealed.additional.tpm.svsm.as_ref().map(|svsm| svsm.manifest.0.clone()).unwrap_or_default();
            input.splice(&mut manifest);
            sealed.revouch(manifest);
        }
        9 => {
            if let Some(report) = &mut sealed.svsm_report {
                report.patches.push((input.short() % SIGNED_LEN, input.byte()));
            }
            sealed.resign_svsm();
        }
        10 => {
            input.splice(&mut sealed.additional.tpm.ek_public.0);
            input.splice(&mut sealed.additional.tpm.ak_public.0);
            sealed.rebind();
        }
        _ => {
            let at = input.short() % sealed.report_bytes.len().max(1);
            if let Some(byte) = sealed.report_bytes.get_mut(at) {
                *byte ^= input.byte();
            }
        }
    }
}

/// Let the TPM hold what the boot log says, so that the log is found fault with for itself.
fn replay_boot(sealed: &mut Sealed) {
    let Ok(log) = BootLog::parse(&sealed.additional.tpm.boot_log.0) else { return };
    let Ok(values) = log.replay_sha256() else { return };
    for (pcr, value) in values.into_iter().enumerate() {
        if !matches!(pcr, 8 | 10 | 13) {
            sealed.tpm.pcrs.sha256[pcr] = value;
        }
    }
}

/// The same for IMA's log.
fn replay_ima(sealed: &mut Sealed) {
    let mut replay = BankReplay::new(ima::Bank::Sha256);
    let log = Log::new(&sealed.additional.tpm.ima_log.data.0, ima::Bank::Sha256, 100_000);
    if replay.run(&log).is_ok()
        && let Ok(value) = replay.pcr().try_into()
    {
        sealed.tpm.pcrs.sha256[10] = value;
    }
}

/// The input, read from its front; zeros when it is used up.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn short(&mut self) -> usize {
        usize::from(self.byte()) << 8 | usize::from(self.byte())
    }

    /// A length of one byte, and as many bytes as there are.
    fn take(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()).min(self.0.len());
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    fn pick<'t, T>(&mut self, list: &'t mut [T]) -> Option<&'t mut T> {
        let index = self.short().checked_rem(list.len())?;
        list.get_mut(index)
    }

    /// Remove some bytes somewhere and put others there.
    fn splice(&mut self, bytes: &mut Vec<u8>) {
        let at = self.short() % (bytes.len() + 1);
        let end = at + usize::from(self.byte()).min(bytes.len() - at);
        bytes.splice(at..end, self.take().iter().copied());
    }

    /// The same; what is no text afterwards is made one.
    fn splice_text(&mut self, text: &mut String) {
        let mut bytes = std::mem::take(text).into_bytes();
        self.splice(&mut bytes);
        *text = String::from_utf8_lossy(&bytes).into_owned();
    }
}

//! A node's evidence: valid, then with one thing spoiled.

use sealpod_evidence::bytes::Base64;
use sealpod_evidence::cel;
use sealpod_evidence::node::NodeEvidence;
use sealpod_testkit::logs::ima::ImaEntry;
use sealpod_testkit::node::{NONCE, Node, NodeFile};
use sealpod_testkit::tpm::Tpm;
use sealpod_verifier::node::{Identity, NodeInput, VerifiedNode, verify};
use sealpod_verifier::{BindingLevel, Check, CredentialKey, VerifyError};

fn node() -> Node {
    Node::default().with("/etc/hosts", NodeFile::of("127.0.0.1 localhost\n", 0o644))
}

fn enrolled(evidence: &NodeEvidence) -> Result<VerifiedNode, VerifyError> {
    let name = Tpm::default().ak_name();
    verify(&NodeInput { evidence, nonce: NONCE, identity: Identity::Enrolled(&name) })
}

/// The check that refuses evidence with one thing spoiled.
fn refused(spoil: impl FnOnce(&mut NodeEvidence)) -> Check {
    let mut evidence = node().evidence();
    spoil(&mut evidence);
    enrolled(&evidence).unwrap_err().check
}

fn made(spoil: impl FnOnce(&mut Node)) -> Result<VerifiedNode, VerifyError> {
    let mut node = node();
    spoil(&mut node);
    enrolled(&node.evidence())
}

#[test]
fn a_round_is_verified_to_what_its_quote_covers() {
    let verified = made(|node| {
        node.ima_log.entries.push(ImaEntry::file("/bin/later", [1; 32]));
        node.ima_log.after_quote = 1;
    })
    .unwrap();
    assert_eq!((verified.covered().index, verified.uncovered(), verified.violations()), (3, 1, 0));
    assert_eq!(verified.entries().count(), 3, "aggregate, agent and file; not what came after the quote");
    assert_eq!(verified.records().count(), 1);
    assert_eq!(verified.binding_level(), BindingLevel::Host);
    assert!(verified.has_boot_log());
}

#[test]
fn versions_and_nonces_are_the_ones_given() {
    assert_eq!(refused(|evidence| evidence.version = 2), Check::EvidenceVersion);
    assert_eq!(refused(|evidence| evidence.nonce = "other".into()), Check::ChallengeNonce);
    let earlier = node().evidence();
    let name = Tpm::default().ak_name();
    let input = NodeInput { evidence: &earlier, nonce: "another", identity: Identity::Enrolled(&name) };
    assert_eq!(verify(&input).unwrap_err().check, Check::ChallengeNonce);
    let renamed = NodeEvidence { nonce: "another".into(), ..earlier.clone() };
    let input = NodeInput { evidence: &renamed, ..input };
    assert_eq!(verify(&input).unwrap_err().check, Check::QuoteNonce, "the quote is of the earlier round");
}

#[test]
fn the_key_is_the_enrolled_one() {
    let other = made(|node| node.tpm = Tpm::new(sealpod_testkit::tpm::AkKind::EcdsaP384));
    assert_eq!(other.unwrap_err().check, Check::EnrolledKey);
    let unrestricted = made(|node| node.tpm.ak.attributes ^= sealpod_testkit::tpm::attributes::RESTRICTED);
    assert_eq!(unrestricted.unwrap_err().check, Check::AkAttributes);
}

#[test]
fn a_node_enrols_with_the_credential_of_its_own_keys() {
    let key = CredentialKey::new(&[7; 32]);
    let mut node = node();
    let credential = key.credential(NONCE, &node.tpm.ek_name(), &node.tpm.ak_name());
    let enrol = |node: &Node| {
        let evidence = node.evidence();
        verify(&NodeInput { evidence: &evidence, nonce: NONCE, identity: Identity::Credential(&key) })
            .map(|verified| verified.ek_name().to_vec())
            .map_err(|error| error.check)
    };
    assert_eq!(enrol(&node), Err(Check::Credential), "none was activated");
    node.activated_credential = Some(credential.to_vec());
    assert_eq!(enrol(&node), Ok(node.tpm.ek_name()));
    let mut foreign = Node { tpm: Tpm::foreign(), ..node.clone() };
    assert_eq!(enrol(&foreign), Err(Check::Credential), "another TPM's EK beside the same AK");
    foreign.tpm.ek.attributes ^= sealpod_testkit::tpm::attributes::DECRYPT;
    assert_eq!(enrol(&foreign), Err(Check::EkAttributes));
}

#[test]
fn the_quote_is_of_these_values_and_signed() {
    let pcr = |evidence: &mut NodeEvidence, index: u8| {
        evidence.pcrs.get_mut("sha256").unwrap().insert(index, "00".repeat(32));
    };
    assert_eq!(refused(|evidence| pcr(evidence, 0)), Check::QuotePcrDigest);
    assert_eq!(refused(|evidence| _ = evidence.pcrs.remove("sha256")), Check::PcrValues);
    let flip = |bytes: &mut Base64| *bytes.0.last_mut().unwrap() ^= 1;
    assert_eq!(refused(|evidence| flip(&mut evidence.quote.signature)), Check::QuoteSignature);
    assert_eq!(refused(|evidence| evidence.quote.message.0.push(0)), Check::TpmStructure);
}

#[test]
fn each_log_is_what_the_tpm_saw() {
    let cut = |bytes: &mut Base64, length: usize| bytes.0.truncate(bytes.0.len() - length);
    assert_eq!(refused(|evidence| cut(&mut evidence.boot_log, 1)), Check::BootLogSyntax);
    let shorter = Node { boot_log: Default::default(), ..node() };
    let mut other = shorter.boot_log.clone();
    other.events.pop();
    assert_eq!(refused(|evidence| evidence.boot_log = Base64(other.to_bytes())), Check::BootLogReplay);
    assert_eq!(refused(|evidence| cut(&mut evidence.ima_log.data, 1)), Check::ImaLogSyntax);
    assert_eq!(refused(|evidence| evidence.ima_log.data.0.clear()), Check::ImaReplay);
    assert_eq!(refused(|evidence| evidence.ima_log.first_index = 1), Check::ImaLogStart);
    assert_eq!(refused(|evidence| evidence.statement_log.0.clear()), Check::WorkloadReplay);
    let zero = |evidence: &mut NodeEvidence| {
        let mut records = cel::parse(&evidence.statement_log.0).unwrap();
        records[0].content.push(b' ');
        evidence.statement_log = Base64(cel::encode(&records));
    };
    assert_eq!(refused(zero), Check::WorkloadReplay);
}

#[test]
fn an_entry_left_out_or_changed_is_found() {
    let without_agent = Node { ima_log: Default::default(), ..node() }.evidence();
    assert_eq!(refused(|evidence| evidence.ima_log = without_agent.ima_log.clone()), Check::ImaReplay);
    let other_mode =
        Node::default().with("/etc/hosts", NodeFile::of("127.0.0.1 localhost\n", 0o666)).evidence();
    assert_eq!(refused(|evidence| evidence.ima_log = other_mode.ima_log.clone()), Check::ImaReplay);
    let kept = node().evidence().ima_log.data.0;
    let at = kept.len() - 2;
    let error = refused(|evidence| evidence.ima_log.data.0[at] ^= 1);
    assert_eq!(error, Check::ImaTemplateDigest, "the mode is part of the template data");
}

#[test]
fn violations_are_counted_and_not_hidden() {
    let verified = made(|node| node.ima_log.entries.push(ImaEntry::violation("/etc/hosts"))).unwrap();
    assert_eq!(verified.violations(), 1);
}

#[test]
fn a_machine_without_a_boot_log_stands_on_its_quoted_values() {
    let mut evidence = node().evidence();
    evidence.boot_log = Base64(Vec::new());
    let verified = enrolled(&evidence).unwrap();
    assert!(!verified.has_boot_log());
}

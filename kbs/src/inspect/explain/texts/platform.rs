//! Steps 1 to 6: parts, challenge, endorsements, report.

use super::Text;

/// Name, meaning, cause.
pub(super) const ALL: &[Text] = &[
    (
        "budget",
        "A part of the evidence is larger than anything genuine is, so it was not read.",
        "Usually a wrong file, or a log of a host that ran for very long; only rarely an attempt to exhaust the verifier.",
    ),
    (
        "body",
        "The request is not the one JSON object that the protocol calls for, so two readers could see two different things in it.",
        "A client of another protocol version, or a proxy that rewrote the body.",
    ),
    (
        "primary-evidence",
        "The report or quote of the processor does not parse, so nothing it says can be trusted.",
        "A file that was cut, a text conversion that changed bytes, or a processor newer than this release knows.",
    ),
    (
        "certificate-table",
        "The certificates that the host put beside the report are not a well-formed table.",
        "A host tool that wrote another format, or a table that was cut at a page boundary.",
    ),
    (
        "additional-evidence",
        "The vTPM evidence beside the report is missing or does not parse, so nothing shows how the guest booted or what it runs.",
        "A plain Confidential Containers client, which sends none, or an agent of another release.",
    ),
    (
        "evidence-version",
        "The evidence is of a version that is not known; a newer one may give another meaning to the same bytes.",
        "Guest and broker of different releases, or firmware newer than this release.",
    ),
    (
        "tpm-structure",
        "A TPM structure does not parse to its last byte.",
        "A key, quote or signature that was stored with a length in front, in another encoding, or in part.",
    ),
    (
        "pcr-values",
        "The PCR values are not exactly one for each PCR that was quoted.",
        "Values read from another bank or with another selection than the quote's.",
    ),
    (
        "boot-log-syntax",
        "The boot log does not parse, so no event in it can be held against a PCR.",
        "A log that was cut, one in the SHA-1-only form of TPM 1.2, or a file that is no boot log.",
    ),
    (
        "ima-log-syntax",
        "The IMA log does not parse in any bank and byte order that is known.",
        "A log that was read while it grew and cut, a template or hash algorithm that is not known, or a file that is no IMA log.",
    ),
    (
        "ima-log-start",
        "The IMA log does not begin at its first entry, so what ran before is hidden.",
        "A client that sends only new entries to a broker that has forgotten the session.",
    ),
    (
        "workload-log-syntax",
        "The log of started containers does not parse.",
        "An agent of another release, or a log that was cut.",
    ),
    (
        "initdata-syntax",
        "The owner's document for the pod (initdata) is missing or does not parse.",
        "A pod started without initdata, or a policy written for another release.",
    ),
    (
        "challenge-expired",
        "The answer came after the challenge had expired, so it may have been prepared elsewhere in the meantime.",
        "A slow or stopped guest, clocks that differ, or stored evidence that is sent again.",
    ),
    (
        "challenge-nonce",
        "The evidence answers another challenge than the one given.",
        "Stored evidence that is sent again, or two sessions that were mixed up.",
    ),
    (
        "challenge-tee",
        "The evidence is of another kind of processor than the one that asked.",
        "A client that names one TEE at /auth and sends another's evidence, or a TEE that this broker does not appraise.",
    ),
    (
        "trust-root",
        "The chain of certificates ends in a root that is not the vendor's, so anybody could have made it.",
        "Evidence of a simulator or of pre-production hardware, a chain of another product line, or a forgery.",
    ),
    (
        "chain-incomplete",
        "A certificate between the signing key and the root is missing, so nothing shows that the vendor issued the key.",
        "The host offers no certificate table, or the file given with --chain lacks the ASK or ASVK; AMD's KDS hands them out at https://kdsintf.amd.com/vcek/v1/PRODUCT/cert_chain (vlek in the place of vcek for an ASVK).",
    ),
    (
        "certificate-syntax",
        "A certificate does not parse, or uses an algorithm that this vendor never uses.",
        "A damaged file, a certificate of another vendor in its place, or one that was tampered with.",
    ),
    (
        "certificate-signature",
        "A certificate is not signed by the key that it names as its issuer.",
        "A certificate that was changed after it was issued, or the intermediate of another product line or generation.",
    ),
    (
        "certificate-name",
        "Names of issuer and subject do not chain, or are not those that the vendor gives.",
        "Certificates of different product lines or different vendors put together.",
    ),
    (
        "certificate-authority",
        "A certificate signs others without being allowed to, or a leaf could sign others.",
        "A leaf in the place of an intermediate; hardware vendors do not issue such certificates.",
    ),
    (
        "certificate-validity",
        "A certificate was not valid at the time of the appraisal.",
        "Old evidence judged by today's time (say --time to judge it by its own), a VLEK that was not renewed, or a wrong clock.",
    ),
    (
        "revocation-list",
        "A revocation list is missing though demanded, is of another time, or is not signed by its issuer.",
        "A list that was fetched long ago and not renewed, or one of another product line.",
    ),
    (
        "certificate-revoked",
        "The vendor has withdrawn a certificate of the chain, so keys below it may be known to others.",
        "A platform whose keys the vendor no longer vouches for; its owner has to update it and to have new keys certified.",
    ),
    (
        "collateral",
        "Intel's statements about the platform are missing or not well formed, so nothing says how good its firmware is.",
        "A file that is not what Intel's PCS or a PCCS answers, collateral of another platform (FMSPC), or a part of it left out.",
    ),
    (
        "collateral-signature",
        "Intel did not sign this collateral, so it may say anything.",
        "A document that was changed, reformatted or cut: the signature is over its exact text.",
    ),
    (
        "collateral-validity",
        "The collateral does not hold at the time of the appraisal.",
        "Old collateral with a quote judged by today's time (say --time), or a cache that was not renewed; Intel's holds for 30 days.",
    ),
    (
        "certificate-tcb",
        "The certificate is for other firmware versions than those that the report names.",
        "A certificate fetched before a firmware update, or taken from another host.",
    ),
    (
        "certificate-hardware-id",
        "The certificate is another chip's.",
        "Certificates of another host, or a guest that was moved to another machine between report and certificate.",
    ),
    (
        "certificate-product",
        "The certificate is of another product line than the processor that made the report.",
        "A chain fetched for the wrong product (Milan, Genoa, Turin).",
    ),
    (
        "pck-extensions",
        "The platform's certificate does not say which platform and firmware it is for.",
        "A certificate that is no PCK certificate, or one that was tampered with.",
    ),
    (
        "qe-report-signature",
        "The quoting enclave's report is not signed by the platform's certified key, so anybody may have made the quote.",
        "A certificate chain of another platform, or a quote that was put together from two.",
    ),
    (
        "qe-report-data",
        "The key that signed the quote is not the one that the quoting enclave vouches for.",
        "A quote that was changed, or put together from two.",
    ),
    (
        "fmspc",
        "The collateral is for another platform model than the certificate.",
        "The TCB info of another FMSPC; the needed one stands in the facts of the quote.",
    ),
    (
        "qe-identity",
        "The quote was made by an enclave that is not Intel's quoting enclave.",
        "The QE identity of SGX given for TDX or the reverse, or a quoting enclave that is not Intel's.",
    ),
    (
        "qe-tcb-level",
        "The quoting enclave is older than any that Intel lists.",
        "A host with old attestation software, which its owner has to update.",
    ),
    (
        "tcb-level",
        "The platform reaches none of the TCB levels that Intel lists for it, so its firmware is older than any that counts.",
        "A host that was never updated, a pre-production platform, or collateral of another platform.",
    ),
    (
        "tdx-module",
        "The TDX module is not one that Intel lists.",
        "A module newer than the collateral, or one that Intel did not sign.",
    ),
    (
        "tcb-status",
        "Intel says that the platform needs an update or another configuration, and the owner does not accept that.",
        "A host without the last firmware and microcode; the owner may list the status (accepted_tcb_statuses).",
    ),
    (
        "tcb-advisory",
        "A security advisory applies to the platform that the owner has not accepted.",
        "Hardware with a known hole that is mitigated in software or not at all; the owner may list it (accepted_advisories).",
    ),
    (
        "signature-algorithm",
        "The report is signed by another algorithm than the one that the vendor uses.",
        "Bytes that are no report, or a report of firmware that is not known.",
    ),
    (
        "reserved-bytes",
        "Bytes that must be zero are not; some of them are outside the signature, so anybody could have set them.",
        "A report of newer firmware, a damaged file, or one that was tampered with.",
    ),
    (
        "report-signature",
        "The signature over the report is not by the certificate's key: what the report says is nobody's word.",
        "The certificate of another chip or TCB, a report that was changed, or one that hardware never signed.",
    ),
    (
        "tee-type",
        "The quote is of another kind of TEE than the evidence claims.",
        "An SGX quote where a TD's is expected.",
    ),
    (
        "td-attributes",
        "The TD runs with attributes that are not allowed or not known.",
        "A host that started it without SEPT_VE_DISABLE, with perfmon or with protection keys, or a newer module.",
    ),
    (
        "service-td",
        "Another TD is bound to this one and can migrate or inspect it.",
        "A migratable TD; the owner may accept it (dangerous_accept_service_td).",
    ),
    (
        "signing-key",
        "The report says that another kind of key signed it than the certificate is for, or that none did.",
        "A VCEK given where the cloud signs with a VLEK, the reverse, or a host that masks the chip's key.",
    ),
    (
        "vmpl",
        "The report was not asked for at a privilege level that a guest has.",
        "A report that the host asked for itself, which says nothing about what the guest wanted to have signed.",
    ),
    (
        "debug-allowed",
        "The guest was launched so that the host can read and change its memory.",
        "A development set-up; no secret may go to such a guest.",
    ),
    (
        "migration-allowed",
        "The guest was launched so that a migration agent can move its memory to another machine.",
        "A launch policy with the migration bit, which sealpod's launcher never sets.",
    ),
    (
        "smt",
        "Simultaneous multithreading is on, though the owner forbids it because threads of one core share caches.",
        "A host whose firmware has SMT on; the owner decides whether that is acceptable (forbid_smt).",
    ),
    (
        "abi-version",
        "The guest would start on older SNP firmware than the owner accepts.",
        "A launch policy whose least ABI is below minimum_abi.",
    ),
    (
        "mitigations",
        "Mitigations that the owner demands were not in force.",
        "Firmware without them, or a guest that was launched before they were switched on.",
    ),
    (
        "minimum-tcb",
        "Firmware or microcode is older than the owner's least version, so known holes may be open.",
        "A host that was not updated, or Reference Values without a least TCB for this product line.",
    ),
    (
        "tcb-order",
        "The versions in the report contradict each other in the way that a roll-back does.",
        "Firmware that was put back under a running guest.",
    ),
];

//! Steps 7 to 15: bindings, launch, vTPM, boot, files, containers.

use super::Text;

/// Name, meaning, cause.
pub(super) const ALL: &[Text] = &[
    (
        "report-data",
        "The report does not cover this nonce, this key and this vTPM evidence, so it may be another session's.",
        "Stored or relayed evidence, parts of two sessions put together, or evidence text that a proxy rewrote.",
    ),
    (
        "runtime-user-data",
        "The paravisor's report was not made for this challenge, so it may be an old one.",
        "An attester of version 0 or 1, which leaves the user data zero, or a relayed report.",
    ),
    (
        "launch-digest",
        "What was launched (firmware, kernel, initrd, command line) is none of the owner's Reference Values.",
        "An image that was rebuilt without adding its values, another number of vCPUs, or an image of somebody else's.",
    ),
    (
        "launch-vmpl",
        "The guest's kernel runs at another privilege level than the Reference Value for its launch says.",
        "A Reference Value with a wrong guest_vmpl, or a guest that plays its own SVSM.",
    ),
    (
        "host-data",
        "The initdata that was sent is not the one that the guest was launched with.",
        "A host that exchanged the pod's policy, or a launcher that did not set HOST_DATA.",
    ),
    (
        "initdata-reference",
        "The owner does not know this initdata.",
        "A policy that was changed without `sealpod-kbs reference add`, or a pod of somebody else's.",
    ),
    (
        "id-block-key",
        "The launch is not signed by an id key that the owner accepts.",
        "A guest started without an id block, or with another key.",
    ),
    (
        "id-block-author",
        "The launch is not signed by an author whom the owner accepts.",
        "A guest started without an id block, or with one of another author.",
    ),
    (
        "binding-level",
        "Whoever vouches for the vTPM is weaker than the owner demands.",
        "A guest without an SVSM or paravisor, whose vTPM the host emulates.",
    ),
    (
        "svsm-unexpected",
        "An SVSM's word came for a guest that was launched without one, which the guest could have made up itself.",
        "A Reference Value with guest_vmpl 0 for a launch that has an SVSM, or an attempt to play one.",
    ),
    (
        "svsm-report",
        "The report of the SVSM does not hold as the guest's own does, or is not of VMPL 0.",
        "A report of another machine, or a service that does not run at VMPL 0.",
    ),
    (
        "svsm-report-data",
        "The SVSM was not asked for this nonce and this manifest.",
        "An old or relayed answer of the SVSM.",
    ),
    (
        "svsm-same-guest",
        "The SVSM's report is of another guest than the primary one.",
        "The vTPM of another guest relayed into this one's evidence.",
    ),
    (
        "svsm-manifest",
        "The SVSM's manifest does not name the endorsement key that was sent.",
        "A vTPM that is not the SVSM's, or a manifest of another form.",
    ),
    (
        "runtime-data",
        "The hardware's report does not cover the paravisor's runtime data, so the vTPM's key in it is nobody's.",
        "Runtime data of another machine, or bytes that were changed.",
    ),
    (
        "td-report",
        "The TDREPORT does not hang together, or is not the one that the TD quote was made from.",
        "A report and a quote of two machines or two times put together.",
    ),
    (
        "ek-attributes",
        "The endorsement key is not one that only its TPM can use.",
        "A software key in the place of a TPM's.",
    ),
    (
        "ak-attributes",
        "The attestation key could sign what no TPM made, so its quotes prove nothing.",
        "A signing key that was made without the restricted attribute, or outside a TPM.",
    ),
    (
        "credential",
        "The TPM with that endorsement key did not open the credential for this attestation key.",
        "Two TPMs whose keys were put together, or an answer to another challenge.",
    ),
    (
        "ek-certificate",
        "The endorsement key's certificate is not one that a TPM's vendor gives, or does not chain to a root that was given.",
        "A vTPM whose maker issues none, an expired certificate, or a missing vendor root.",
    ),
    (
        "ek-certificate-key",
        "The certificate is for another endorsement key.",
        "Certificate and key of two TPMs.",
    ),
    (
        "enrolled-key",
        "The keys are not those under which this node was enrolled, so it is another machine or has another TPM.",
        "A node that was reinstalled or got a new TPM without being enrolled again, or one that plays another.",
    ),
    (
        "quote-type",
        "What was signed is not a quote that a TPM made.",
        "Another TPM structure in its place, or data signed from outside.",
    ),
    (
        "quote-nonce",
        "The quote does not answer this challenge, so it may be an old one.",
        "A replayed quote, a quote without a nonce, or the wrong value given with --nonce.",
    ),
    (
        "quote-selection",
        "The quote covers other PCRs than those asked for.",
        "A client that quoted another bank or left PCRs out.",
    ),
    (
        "quote-pcr-digest",
        "The PCR values sent are not those that the TPM signed.",
        "Values read at another time than the quote, from another bank, or changed on the way.",
    ),
    (
        "quote-signature",
        "The quote is not signed by this attestation key, or in a scheme that is too weak to count.",
        "The key of another TPM, a SHA-1 signature, or a message and signature of two quotes.",
    ),
    (
        "weak-hash",
        "The quote rests on SHA-1, in its signature or in all of its banks, and SHA-1 can be collided.",
        "An old TPM, or a client that asks for the SHA-1 bank or a SHA-1 scheme; quote the SHA-256 bank.",
    ),
    (
        "boot-log-replay",
        "The events of the boot log do not add up to the PCR values, so the log is not what the TPM saw.",
        "Events that were removed, added or changed, a log of another boot, or firmware that extends without logging.",
    ),
    (
        "boot-separator",
        "A register of the firmware's lacks its separator, or the separator says that firmware met an error.",
        "A log that was cut or filtered, or a boot that failed half-way.",
    ),
    (
        "boot-separator-twice",
        "A register has two separators, so what came after the first may pretend to be the firmware's.",
        "An operating system that measured what only firmware may, a log that was edited, or faulty firmware.",
    ),
    (
        "boot-event-data",
        "An event's digest is not that of its data, so what it says is not what was measured.",
        "A log that was edited after the boot.",
    ),
    (
        "boot-event-order",
        "Events stand in an order that no firmware writes.",
        "A log that was edited, or measurements made after firmware was done.",
    ),
    (
        "exit-boot-services",
        "The log does not show that firmware handed over to the operating system.",
        "A log that was cut off, or a boot loader that hides what it started.",
    ),
    (
        "boot-reference",
        "The guest booted otherwise than any boot that the owner accepts.",
        "A firmware or kernel update without new Reference Values, or another machine configuration.",
    ),
    (
        "unmeasured-acpi",
        "The ACPI tables that the host hands to the kernel are in no PCR, so a hostile host could change the kernel through them.",
        "Firmware that does not measure them; the owner may accept it by name (dangerous_unmeasured_acpi).",
    ),
    (
        "initdata-pcr",
        "PCR 8 does not hold the digest of the initdata that was sent.",
        "An agent that did not extend it, or initdata that was exchanged after the boot.",
    ),
    (
        "boot-aggregate",
        "The IMA log does not start with this boot's aggregate, so it may be another boot's, or the kernel had no TPM.",
        "A TPM driver that is a module and came too late, a log of another boot, or an aggregate over other PCRs.",
    ),
    (
        "ima-template-digest",
        "An entry of the IMA log does not have the digest of its own data, so its path or file digest was changed.",
        "A log that was edited, or read with another bank than it was written in.",
    ),
    (
        "ima-replay",
        "No part of the IMA log adds up to PCR 10, so the log is not what the TPM saw.",
        "A log of another boot or machine, entries that were removed, or PCR values of another bank or another time.",
    ),
    (
        "ima-violation",
        "Files were open for writing while they were measured, so what ran is not known, and more often than the owner accepts.",
        "Programs that write their own executables or logs that the IMA policy measures; a few are usual on ordinary hosts.",
    ),
    (
        "foreign-file",
        "A file was executed or mapped that belongs to none of the accepted images.",
        "A program that was copied or downloaded into the guest, or an image without Reference Values.",
    ),
    (
        "set-id-file",
        "A file of a container image ran with a set-user-id or set-group-id bit.",
        "An image with such programs; sealpod's guest starts none.",
    ),
    (
        "file-reference",
        "There are no Reference Values for the files of an image, so nothing that it runs can be judged.",
        "An image that was added to the policy but not with `sealpod-kbs reference add`.",
    ),
    (
        "file-signature",
        "A file's signature does not verify by a key that may sign for it.",
        "A file that was changed, a package of another signer, or a signature of an unknown form.",
    ),
    (
        "signature-budget",
        "The log has more signatures than are verified for one appraisal.",
        "A log of a host that ran for very long with signed files, or an attempt to exhaust the verifier.",
    ),
    (
        "measured-buffer",
        "A buffer that the kernel measured (keys, device-mapper tables, command lines) is not a Reference Value.",
        "A key or table that was loaded without the owner knowing, or a kernel update without new Reference Values.",
    ),
    (
        "kexec-carry-over",
        "The log was carried over from an earlier kernel by kexec, which no appraisal here takes.",
        "A guest that started another kernel without a reset.",
    ),
    (
        "unexpected-measurement",
        "The IMA log has an entry of a kind that no appraisal can judge.",
        "Another IMA policy or kernel command line than the guest image's, or an entry that was forged.",
    ),
    (
        "workload-replay",
        "The log of started containers does not add up to PCR 13.",
        "Records that were removed or added after the fact.",
    ),
    (
        "workload-not-allowed",
        "A container was started that the owner's policy for this pod does not allow.",
        "Another image, command or environment than initdata names.",
    ),
];

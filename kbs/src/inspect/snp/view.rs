//! A report as a tree, in words.

use crate::inspect::tree::{Node, Tone, flag};
use sealpod_evidence::reference_values::SnpTcb;
use sealpod_evidence::snp::report::{
    GuestPolicy, KeyInfo, PlatformInfo, Product, Report, SigningKey, TcbBytes,
};

/// VMPL of a report that the host asked for (AMD 56860, SNP_HV_REPORT_REQ).
const HOST_VMPL: u32 = u32::MAX;

/// The tree of a well-formed report. `product` is the report's own, or the certificate's where a report of version 2 says none.
pub(super) fn tree(report: &Report, product: Option<Product>, node: &mut Node) {
    node.field("Version", report.version());
    let cpuid = report.cpuid().map(|(family, model, stepping)| {
        format!(" (CPUID family {family:#04x}, model {model:#04x}, stepping {stepping})")
    });
    let name = match product {
        Some(Product::Milan) => "Milan, EPYC 7003",
        Some(Product::Genoa) => "Genoa, Bergamo or Siena, EPYC 9004 or 8004",
        Some(Product::Turin) => "Turin, EPYC 9005",
        None => "not said: version 2 leaves it to the certificate",
    };
    node.field("Processor", format!("{name}{}", cpuid.unwrap_or_default()));
    node.field("VMPL", vmpl(report.vmpl()));
    node.field("Guest SVN", report.guest_svn());
    node.push(policy(report.policy()));
    node.push(platform(report.platform_info(), report.version()));
    node.push(key(report.key_info()));
    digest(node, "Report data", &report.report_data());
    digest(node, "Measurement (launch digest)", &report.measurement());
    digest(node, "Host data", &report.host_data());
    digest(node, "Family id", &report.family_id());
    digest(node, "Image id", &report.image_id());
    digest(node, "Id key digest", &report.id_key_digest());
    digest(node, "Author key digest", &report.author_key_digest());
    digest(node, "Report id", &report.report_id());
    digest(node, "Migration agent's report id", &report.report_id_ma());
    digest(node, "Chip id", &report.chip_id());
    let mut tcb = Node::new("TCB (security versions)");
    for (label, bytes) in [
        ("Reported: what the signing key is derived from", report.reported_tcb()),
        ("Committed: no roll-back below", report.committed_tcb()),
        ("Current: what runs", report.current_tcb()),
        ("Launch: what ran when the guest started", report.launch_tcb()),
    ] {
        tcb.push(tcb_node(label, bytes, product));
    }
    node.push(tcb);
    let mut firmware = Node::new("SNP firmware");
    firmware.field("Current", report.current_version()).field("Committed", report.committed_version());
    node.push(firmware);
    if let Some(vector) = report.launch_mitigation_vector() {
        node.field("Mitigations at launch", format!("{vector:#018x}"));
    }
    if let Some(vector) = report.current_mitigation_vector() {
        node.field("Mitigations now", format!("{vector:#018x}"));
    }
    let algorithm = match report.signature_algorithm() {
        1 => "ECDSA P-384 with SHA-384".to_owned(),
        other => format!("{other}, not known"),
    };
    node.field("Signature", format!("{algorithm}, {}", hex::encode(report.signature())));
}

fn vmpl(vmpl: u32) -> String {
    match vmpl {
        0 => "0: the most privileged level of the guest".to_owned(),
        1..=3 => format!("{vmpl}: below an SVSM or paravisor"),
        HOST_VMPL => "none: the host asked for this report".to_owned(),
        other => format!("{other}, which no guest has"),
    }
}

fn policy(policy: GuestPolicy) -> Node {
    use Tone::{Bad, Good, Notice, Plain};
    let mut node = Node::with("Guest policy", format!("{:#x}", policy.0));
    node.field("Least firmware ABI", format!("{}.{}", policy.abi_major(), policy.abi_minor()));
    flag(&mut node, "Host may debug (read) the guest", policy.debug_allowed(), Bad, Good);
    flag(&mut node, "Migration agent allowed", policy.migration_agent_allowed(), Bad, Good);
    flag(&mut node, "SMT allowed", policy.smt_allowed(), Plain, Plain);
    flag(&mut node, "One socket only", policy.single_socket_required(), Plain, Plain);
    flag(&mut node, "CXL allowed", policy.cxl_allowed(), Notice, Plain);
    flag(&mut node, "AES-256-XTS demanded", policy.mem_aes_256_xts(), Good, Plain);
    flag(&mut node, "RAPL must be off", policy.rapl_dis(), Good, Plain);
    flag(&mut node, "Ciphertext hiding demanded", policy.ciphertext_hiding(), Good, Plain);
    flag(&mut node, "Page swapping forbidden", policy.page_swap_disable(), Good, Plain);
    node
}

fn platform(info: PlatformInfo, version: u32) -> Node {
    use Tone::{Good, Plain};
    let mut node = Node::with("Platform", format!("{:#x}", info.0));
    flag(&mut node, "SMT on", info.smt_enabled(), Plain, Plain);
    flag(&mut node, "Transparent SME on", info.tsme_enabled(), Plain, Plain);
    flag(&mut node, "ECC memory", info.ecc_enabled(), Plain, Plain);
    flag(&mut node, "RAPL off", info.rapl_disabled(), Good, Plain);
    flag(&mut node, "Ciphertext hiding on", info.ciphertext_hiding_enabled(), Good, Plain);
    if version >= 3 {
        flag(&mut node, "Memory alias check passed", info.alias_check_complete(), Good, Tone::Notice);
    }
    if version >= 5 {
        flag(&mut node, "IOMMU write safe", info.iommu_write_safe(), Good, Plain);
        flag(&mut node, "SEV-TIO on", info.tio_enabled(), Plain, Plain);
    }
    node
}

fn key(info: KeyInfo) -> Node {
    let (name, tone) = match info.signing_key() {
        SigningKey::Vcek => ("VCEK: the chip's own".to_owned(), Tone::Plain),
        SigningKey::Vlek => ("VLEK: lent to the cloud provider, names no chip".to_owned(), Tone::Plain),
        SigningKey::None => ("none: the report is not signed".to_owned(), Tone::Bad),
        SigningKey::Reserved(other) => (format!("{other}, not known"), Tone::Bad),
    };
    let mut node = Node::with("Signing key", name).tone(tone);
    flag(&mut node, "Author key in use", info.author_key_enabled(), Tone::Plain, Tone::Plain);
    flag(&mut node, "Chip key masked", info.mask_chip_key(), Tone::Bad, Tone::Plain);
    node
}

fn tcb_node(label: &str, bytes: TcbBytes, product: Option<Product>) -> Node {
    let text = hex::encode(bytes.0);
    let Some(product) = product else {
        // Milan and Genoa share one layout, and only they wrote reports that do not say.
        return Node::with(label, format!("{text}: {}", components(&bytes.decode(Product::Milan))));
    };
    Node::with(label, format!("{text}: {}", components(&bytes.decode(product))))
}

pub(in crate::inspect) fn components(tcb: &SnpTcb) -> String {
    let fmc = tcb.fmc.map(|fmc| format!("FMC {fmc}, ")).unwrap_or_default();
    format!(
        "{fmc}boot loader {}, TEE {}, SNP {}, microcode {} ({:#04x})",
        tcb.bootloader, tcb.tee, tcb.snp, tcb.microcode, tcb.microcode
    )
}

fn digest(node: &mut Node, label: &str, bytes: &[u8]) {
    if bytes.iter().all(|b| *b == 0) {
        node.field(label, "zero");
    } else if bytes.iter().all(|b| *b == 0xff) {
        node.field(label, "none (all ones)");
    } else {
        let used = bytes.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
        // Report data and Turin's chip id are padded with zeros.
        let zeros = bytes.len() - used;
        let shown = bytes.get(..if zeros >= 8 { used } else { bytes.len() }).unwrap_or_default();
        let tail = if zeros >= 8 { format!(" and {zeros} zeros") } else { String::new() };
        node.field(label, format!("{}{tail}", hex::encode(shown)));
    }
}

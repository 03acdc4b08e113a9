use super::*;
use sealpod_evidence::bytes::HexArray;

const EK: [u8; 4] = [1, 2, 3, 4];

fn processor() -> Processor {
    Processor::new([1; 48], [2; 32], 0x30000, [3; 32])
}

fn booted() -> Processor {
    let mut processor = processor();
    let answer = processor.answer(&Request::Boot { ek_public: Some(Base64(EK.to_vec())) });
    assert_eq!(answer, Answer::Booted { vmpl: 2, svsm: true });
    processor
}

fn service(nonce: [u8; 64]) -> Request {
    Request::Service { guid: VTPM_SERVICE.to_owned(), manifest_version: 0, nonce: HexArray(nonce) }
}

fn reason(answer: Answer) -> String {
    match answer {
        Answer::Refused { reason } => reason,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn there_is_no_report_before_boot_and_no_second_boot() {
    let mut processor = processor();
    let report = Request::Report { vmpl: 2, report_data: HexArray([0; 64]) };
    assert!(reason(processor.answer(&report)).contains("not booted"));
    assert!(reason(processor.answer(&service([0; 64]))).contains("not booted"));
    let boot = Request::Boot { ek_public: None };
    assert_eq!(processor.answer(&boot), Answer::Booted { vmpl: 0, svsm: false });
    assert!(reason(processor.answer(&boot)).contains("already booted"));
}

#[test]
fn a_guest_gets_no_report_of_a_level_above_its_own() {
    let mut processor = booted();
    for vmpl in [0, 1, 4, u32::MAX] {
        let request = Request::Report { vmpl, report_data: HexArray([0; 64]) };
        assert!(reason(processor.answer(&request)).contains("VMPL"), "{vmpl}");
    }
}

#[test]
fn without_a_tpm_there_is_no_svsm() {
    let mut processor = processor();
    processor.answer(&Request::Boot { ek_public: None });
    assert!(reason(processor.answer(&service([0; 64]))).contains("no SVSM"));
}

#[test]
fn unknown_services_and_manifests_are_refused() {
    let mut processor = booted();
    let ask = |guid: &str, manifest_version| Request::Service {
        guid: guid.to_owned(),
        manifest_version,
        nonce: HexArray([0; 64]),
    };
    assert!(reason(processor.answer(&ask("", 0))).contains("not known"));
    assert!(reason(processor.answer(&ask(VTPM_SERVICE, 1))).contains("not known"));
}

#[test]
fn a_foreign_endorsement_key_is_what_the_svsm_vouches_for() {
    let mut processor = processor();
    processor.foreign_ek = Some(vec![9, 9]);
    processor.answer(&Request::Boot { ek_public: Some(Base64(EK.to_vec())) });
    match processor.answer(&service([0; 64])) {
        Answer::Report { manifest, .. } => assert_eq!(manifest.0, [9, 9]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_endorsement_key_beyond_all_sizes_is_refused() {
    let boot = Request::Boot { ek_public: Some(Base64(vec![0; EK_MAX + 1])) };
    assert!(reason(processor().answer(&boot)).contains("at most"));
}

#[test]
fn another_implementation_reads_the_same_fields() {
    use sev::firmware::guest::AttestationReport;
    use sev::parser::ByteParser as _;

    let mut processor = booted();
    let nonce = [4; 64];
    for (request, vmpl, data) in [
        (Request::Report { vmpl: 3, report_data: HexArray([7; 64]) }, 3, [7; 64]),
        (service(nonce), 0, binding::svsm_report_data(&nonce, &EK)),
    ] {
        let Answer::Report { report, .. } = processor.answer(&request) else { panic!("refused") };
        let read = AttestationReport::from_bytes(&report.0).unwrap();
        assert_eq!(read.version, 3);
        assert_eq!((read.vmpl, read.report_data), (vmpl, data));
        assert_eq!((read.measurement, read.host_data, read.report_id), ([1; 48], [2; 32], [3; 32]));
        assert_eq!(u64::from(read.policy), 0x30000);
        assert_eq!(read.chip_id, keys::chip_id());
        let cpuid = [read.cpuid_fam_id, read.cpuid_mod_id, read.cpuid_step].map(Option::unwrap);
        assert_eq!(cpuid, keys::cpuid());
        for tcb in [read.reported_tcb, read.current_tcb, read.committed_tcb, read.launch_tcb] {
            let fields = [tcb.bootloader, tcb.tee, tcb.snp, tcb.microcode];
            assert_eq!(fields, [0, 1, 6, 7].map(|at: usize| keys::tcb()[at]));
        }
        assert_eq!(read.signature.r()[48..], [0; 24]);
    }
}

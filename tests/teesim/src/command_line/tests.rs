use super::*;

fn snp() -> Vec<String> {
    let text = "-nodefaults -machine q35,confidential-guest-support=sev0,memory-backend=ram0,vmport=off \
        -object memory-backend-memfd,id=ram0,size=512M,share=true \
        -object sev-snp-guest,id=sev0,cbitpos=51,reduced-phys-bits=1,kernel-hashes=on,policy=0x30000,\
host-data=AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE= \
        -object rng-random,id=rng0,filename=/dev/urandom \
        -bios /fw/OVMF.amdsev.fd -accel kvm -enable-kvm -cpu EPYC-v4,+avx -smp 2 -m 512 -kernel /k -initrd /i -append quiet \
        -chardev socket,id=tpm,path=/run/tpm,,1 -device virtio-serial-pci";
    text.split_whitespace().map(str::to_owned).collect()
}

fn change(from: &str, to: &str) -> Result<Translated> {
    let mut arguments = snp();
    let at = arguments.iter().position(|a| a.contains(from)).expect("there is such an argument");
    arguments[at] = arguments[at].replace(from, to);
    translate(&arguments, &Boot::Direct)
}

#[test]
fn what_is_measured_is_read_from_the_command_line() {
    let launch = translate(&snp(), &Boot::Direct).unwrap().launch;
    let expected = Launch {
        firmware: "/fw/OVMF.amdsev.fd".into(),
        kernel: "/k".into(),
        initrd: Some("/i".into()),
        append: Some("quiet".into()),
        vcpus: 2,
        cpu: "EPYC-v4".into(),
        policy: 0x30000,
        host_data: [1; 32],
    };
    assert_eq!(launch, expected);
}

#[test]
fn only_the_confidential_parts_are_replaced() {
    let translated = translate(&snp(), &Boot::Direct).unwrap();
    assert_eq!(
        translated.arguments.join(" "),
        "-machine q35,vmport=off -accel tcg,thread=multi -cpu max \
         -object rng-random,id=rng0,filename=/dev/urandom -nodefaults -smp 2 -m 512 -kernel /k -initrd /i -append quiet \
         -chardev socket,id=tpm,path=/run/tpm,,1 -device virtio-serial-pci"
    );
}

#[test]
fn measured_firmware_gets_its_variables_unchanged_each_time() {
    let boot = Boot::Ovmf { code: "/a,b/CODE.fd".into(), vars: "/VARS.fd".into() };
    let text = translate(&snp(), &boot).unwrap().arguments.join(" ");
    assert!(text.contains("-drive if=pflash,unit=0,format=raw,readonly=on,file=/a,,b/CODE.fd "), "{text}");
    assert!(text.contains("-drive if=pflash,unit=1,format=raw,snapshot=on,file=/VARS.fd "), "{text}");
    assert!(!text.contains("-bios"), "{text}");
}

#[test]
fn an_appended_word_is_in_what_is_measured_and_in_what_is_booted() {
    let translated = change("quiet", "quiet mitigations=off").unwrap();
    assert_eq!(translated.launch.append.as_deref(), Some("quiet mitigations=off"));
    assert!(translated.arguments.contains(&"quiet mitigations=off".to_owned()));
}

#[test]
fn defaults_are_those_of_the_platform() {
    let launch = change(",host-data=AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=", "").unwrap().launch;
    assert_eq!(launch.host_data, [0; 32]);
    assert_eq!(change(",policy=0x30000", "").unwrap().launch.policy, 0x30000);
    assert_eq!(change("policy=0x30000", "policy=0xb0000").unwrap().launch.policy, 0xb0000);
}

#[test]
fn a_machine_that_the_platform_would_not_measure_is_refused() {
    for (from, to, reason) in [
        ("kernel-hashes=on", "kernel-hashes=off", "kernel-hashes=on"),
        ("sev-snp-guest", "sev-guest", "teesim simulates SEV-SNP only"),
        ("id=sev0", "id=other", "id=sev0"),
        (",confidential-guest-support=sev0", "", "confidential-guest-support"),
        ("host-data=AQ", "host-data=", "32 bytes"),
        ("policy=0x30000", "policy=lax", "not a number"),
        ("-bios", "-device", "no -bios"),
        ("-smp", "-device", "no -smp"),
        ("-cpu", "-device", "no -cpu"),
        ("-kernel", "-device", "no -kernel"),
    ] {
        let error = change(from, to).unwrap_err().to_string();
        assert!(error.contains(reason), "{from}: {error}");
    }
    assert!(translate(&["-machine".to_owned()], &Boot::Direct).is_err());
    assert!(translate(&[], &Boot::Direct).is_err());
}

//! QEMU's command line: a pure function of the machine.

use crate::host::Accel;
use crate::spec::{Firmware, Machine, VmSpec};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::path::Path;

/// SNP guest policy (AMD SEV-SNP ABI, table "Guest Policy"): reserved bit 17 set, SMT allowed, debugging not.
const SNP_POLICY: &str = "0x30000";

/// All arguments after the program's name.
pub fn qemu_args(spec: &VmSpec) -> Vec<String> {
    let mut args = Args::default();
    args.pair("-name", format!("sealpod-{},debug-threads=on", spec.name));
    args.pair(
        "-accel",
        match spec.accel {
            Accel::Kvm => "kvm",
            Accel::Tcg => "tcg,thread=multi",
        },
    );
    machine(&mut args, spec);
    args.pair("-m", spec.memory_mib);
    args.pair("-smp", spec.vcpus);
    args.word("-nodefaults");
    args.word("-no-user-config");
    args.word("-no-reboot");
    args.pair("-display", "none");
    args.pair("-serial", format!("file:{}", value(&spec.console)));
    args.pair("-kernel", spec.kernel.display());
    args.pair("-initrd", spec.initrd.display());
    args.pair("-append", &spec.cmdline);
    if let Some(socket) = &spec.swtpm {
        args.pair("-chardev", format!("socket,id=tpm,path={}", value(socket)));
        args.pair("-tpmdev", "emulator,id=tpm0,chardev=tpm");
        args.pair("-device", "tpm-crb,tpmdev=tpm0");
    }
    let virtio = match spec.machine {
        Machine::Plain { .. } => "",
        // Private memory is reached through bounce buffers only.
        Machine::Snp { .. } | Machine::SnpSvsm { .. } | Machine::Tdx { .. } => {
            ",disable-legacy=on,iommu_platform=true"
        }
    };
    args.pair("-device", format!("virtio-serial-pci{virtio}"));
    args.pair("-chardev", format!("socket,id=channel,path={},server=off", value(&spec.channel)));
    args.pair("-device", format!("virtserialport,chardev=channel,name={}", sealpod_channel::PORT_NAME));
    for (serial, path) in &spec.disks {
        args.pair("-drive", format!("if=none,id={serial},file={},format=raw,readonly=on", value(path)));
        args.pair("-device", format!("virtio-blk-pci,drive={serial},serial={serial}{virtio}"));
    }
    args.0
}

#[derive(Default)]
struct Args(Vec<String>);

impl Args {
    fn word(&mut self, word: &str) {
        self.0.push(word.to_owned());
    }

    fn pair(&mut self, option: &str, value: impl ToString) {
        self.word(option);
        self.0.push(value.to_string());
    }
}

/// A path inside an option list: QEMU reads two commas as one.
fn value(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

fn machine(args: &mut Args, spec: &VmSpec) {
    let size = spec.memory_mib;
    match &spec.machine {
        Machine::Plain { firmware } => {
            args.pair("-machine", "q35");
            args.pair("-cpu", if spec.accel == Accel::Kvm { "host" } else { "max" });
            if let Firmware::Ovmf { code, vars } = firmware {
                args.pair("-drive", format!("if=pflash,format=raw,unit=0,readonly=on,file={}", value(code)));
                args.pair("-drive", format!("if=pflash,format=raw,unit=1,file={}", value(vars)));
            }
        }
        Machine::Snp { ovmf, cbitpos, host_data } => {
            args.pair("-machine", "q35,confidential-guest-support=sev0,memory-backend=ram0,vmport=off");
            args.pair("-cpu", "EPYC-v4");
            snp_objects(args, size, *cbitpos, &host_data.0);
            args.pair("-bios", ovmf.display());
        }
        Machine::SnpSvsm { igvm, cbitpos, host_data } => {
            args.pair(
                "-machine",
                "q35,confidential-guest-support=sev0,memory-backend=ram0,vmport=off,igvm-cfg=igvm0",
            );
            args.pair("-cpu", "EPYC-v4");
            snp_objects(args, size, *cbitpos, &host_data.0);
            args.pair("-object", format!("igvm-cfg,id=igvm0,file={}", value(igvm)));
        }
        Machine::Tdx { ovmf, mr_config_id } => {
            args.pair("-machine", "q35,kernel-irqchip=split,confidential-guest-support=tdx0");
            args.pair("-cpu", "host");
            // Written out, so that the order does not hang on how a JSON library was built; base64 needs no escapes.
            let object = format!(
                r#"{{"id":"tdx0","mrconfigid":"{}","qom-type":"tdx-guest","quote-generation-socket":{{"cid":"2","port":"4050","type":"vsock"}}}}"#,
                STANDARD.encode(mr_config_id)
            );
            args.pair("-object", object);
            args.pair("-bios", ovmf.display());
        }
    }
}

fn snp_objects(args: &mut Args, memory_mib: u32, cbitpos: u32, host_data: &[u8]) {
    args.pair("-object", format!("memory-backend-memfd,id=ram0,size={memory_mib}M,share=true"));
    args.pair("-object", format!(
        "sev-snp-guest,id=sev0,cbitpos={cbitpos},reduced-phys-bits=1,kernel-hashes=on,policy={SNP_POLICY},host-data={}",
        STANDARD.encode(host_data)
    ));
}

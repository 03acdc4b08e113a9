//! Event types (PFP 1.06 section 10.4.1).

use std::borrow::Cow;

macro_rules! event_types {
    ($($(#[$doc:meta])+ $public:ident = $value:literal;)* --- $($name:ident = $other:literal;)*) => {
        $($(#[$doc])+ pub const $public: u32 = $value;)*

        /// The name of an event type, or its value as `0x` and eight digits where PFP 1.06 has none.
        pub fn event_type_name(event_type: u32) -> Cow<'static, str> {
            Cow::Borrowed(match event_type {
                $($public => stringify!($public),)*
                $($other => stringify!($name),)*
                other => return Cow::Owned(format!("{other:#010x}")),
            })
        }
    };
}

event_types! {
    /// Information about the log; not extended.
    EV_NO_ACTION = 0x3;
    /// End of the firmware's measurements of one PCR; the data is hashed.
    EV_SEPARATOR = 0x4;
    /// A text; the data is hashed.
    EV_ACTION = 0x5;
    /// A tag, a length and a structure; what is hashed depends on the tag.
    EV_EVENT_TAG = 0x6;
    /// Configuration that the platform was given; the data only says what was hashed.
    EV_PLATFORM_CONFIG_FLAGS = 0xa;
    /// Anything; what is hashed is the measuring code's choice.
    EV_COMPACT_HASH = 0xc;
    /// A boot loader's measurement; what is hashed is its choice.
    EV_IPL = 0xd;
    /// A UEFI variable, by name and content; the data is hashed.
    EV_EFI_VARIABLE_DRIVER_CONFIG = 0x8000_0001;
    /// A loaded UEFI application; the digest is the Authenticode hash of its image.
    EV_EFI_BOOT_SERVICES_APPLICATION = 0x8000_0003;
    /// A text of the UEFI firmware; the data is hashed.
    EV_EFI_ACTION = 0x8000_0007;
    /// A loaded UEFI boot services driver; the digest is the Authenticode hash of its image.
    EV_EFI_BOOT_SERVICES_DRIVER = 0x8000_0004;
    /// A loaded UEFI runtime services driver; the digest is the Authenticode hash of its image.
    EV_EFI_RUNTIME_SERVICES_DRIVER = 0x8000_0005;
    ---
    EV_PREBOOT_CERT = 0x0;
    EV_POST_CODE = 0x1;
    EV_UNUSED = 0x2;
    EV_S_CRTM_CONTENTS = 0x7;
    EV_S_CRTM_VERSION = 0x8;
    EV_CPU_MICROCODE = 0x9;
    EV_TABLE_OF_DEVICES = 0xb;
    EV_IPL_PARTITION_DATA = 0xe;
    EV_NONHOST_CODE = 0xf;
    EV_NONHOST_CONFIG = 0x10;
    EV_NONHOST_INFO = 0x11;
    EV_OMIT_BOOT_DEVICE_EVENTS = 0x12;
    EV_POST_CODE2 = 0x13;
    EV_EFI_VARIABLE_BOOT = 0x8000_0002;
    EV_EFI_GPT_EVENT = 0x8000_0006;
    EV_EFI_GPT_EVENT2 = 0x8000_000d;
    EV_EFI_PLATFORM_FIRMWARE_BLOB = 0x8000_0008;
    EV_EFI_HANDOFF_TABLES = 0x8000_0009;
    EV_EFI_PLATFORM_FIRMWARE_BLOB2 = 0x8000_000a;
    EV_EFI_HANDOFF_TABLES2 = 0x8000_000b;
    EV_EFI_VARIABLE_BOOT2 = 0x8000_000c;
    EV_EFI_HCRTM_EVENT = 0x8000_0010;
    EV_EFI_VARIABLE_AUTHORITY = 0x8000_00e0;
    EV_EFI_SPDM_FIRMWARE_BLOB = 0x8000_00e1;
    EV_EFI_SPDM_FIRMWARE_CONFIG = 0x8000_00e2;
    EV_EFI_SPDM_DEVICE_POLICY = 0x8000_00e3;
    EV_EFI_SPDM_DEVICE_AUTHORITY = 0x8000_00e4;
}

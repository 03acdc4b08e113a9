//! Which fields a template has (`security/integrity/ima/ima_template.c`).

/// Most fields of a template (ima.h, `IMA_TEMPLATE_NUM_FIELDS_MAX`).
const MAX_FIELDS: usize = 15;

/// A field of template data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Digest,
    DigestNg,
    DigestNgV2,
    Name,
    NameNg,
    Signature,
    Buffer,
    ModsigDigest,
    Modsig,
    EvmSignature,
    XattrNames,
    XattrLengths,
    XattrValues,
    Uid,
    Gid,
    Mode,
}

use Field::{
    Buffer, Digest, DigestNg, DigestNgV2, EvmSignature, Gid, Mode, Modsig, ModsigDigest, Name, NameNg,
    Signature, Uid, XattrLengths, XattrNames, XattrValues,
};

const FIELDS: [Field; 16] = [
    DigestNg,
    NameNg,
    Signature,
    Uid,
    Gid,
    Mode,
    DigestNgV2,
    EvmSignature,
    XattrNames,
    XattrLengths,
    XattrValues,
    Buffer,
    ModsigDigest,
    Modsig,
    Digest,
    Name,
];

/// The fields of a template, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Template {
    fields: [Field; MAX_FIELDS],
    len: u8,
    is_ima: bool,
}

const IMA: Template = Template { is_ima: true, ..Template::of(&[Digest, Name]) };
const IMA_NG: Template = Template::of(&[DigestNg, NameNg]);
const IMA_SIG: Template = Template::of(&[DigestNg, NameNg, Signature]);
const IMA_NGV2: Template = Template::of(&[DigestNgV2, NameNg]);
const IMA_SIGV2: Template = Template::of(&[DigestNgV2, NameNg, Signature]);
const IMA_BUF: Template = Template::of(&[DigestNg, NameNg, Buffer]);
const IMA_MODSIG: Template = Template::of(&[DigestNg, NameNg, Signature, ModsigDigest, Modsig]);
const EVM_SIG: Template =
    Template::of(&[DigestNg, NameNg, EvmSignature, XattrNames, XattrLengths, XattrValues, Uid, Gid, Mode]);

impl Template {
    /// The template that a log calls `name`: one of the kernel's, or else a format string.
    pub(super) fn find(name: &str) -> Option<Self> {
        Some(match name {
            "ima" => IMA,
            "ima-ng" => IMA_NG,
            "ima-sig" => IMA_SIG,
            "ima-ngv2" => IMA_NGV2,
            "ima-sigv2" => IMA_SIGV2,
            "ima-buf" => IMA_BUF,
            "ima-modsig" => IMA_MODSIG,
            "evm-sig" => EVM_SIG,
            format => return Self::parse(format),
        })
    }

    pub(super) fn fields(&self) -> &[Field] {
        self.fields.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Template `ima` predates the framing of the others.
    pub(super) fn is_ima(&self) -> bool {
        self.is_ima
    }

    const fn of(list: &[Field]) -> Self {
        let mut fields = [Digest; MAX_FIELDS];
        let (used, _) = fields.split_at_mut(list.len());
        used.copy_from_slice(list);
        Self { fields, len: list.len() as u8, is_ima: false }
    }

    /// Fields between bars. Two fields that say the same thing could contradict each other, so they are refused.
    fn parse(format: &str) -> Option<Self> {
        let mut template = Self::of(&[]);
        let mut seen = 0_u16;
        for name in format.split('|') {
            let field = FIELDS.into_iter().find(|field| field.name() == name)?;
            *template.fields.get_mut(usize::from(template.len))? = field;
            template.len += 1;
            let bit = 1 << field.subject() as u16;
            if seen & bit != 0 {
                return None;
            }
            seen |= bit;
        }
        Some(template)
    }
}

impl Field {
    /// As the kernel names it (`supported_fields`).
    pub(super) fn name(self) -> &'static str {
        match self {
            Digest => "d",
            DigestNg => "d-ng",
            DigestNgV2 => "d-ngv2",
            Name => "n",
            NameNg => "n-ng",
            Signature => "sig",
            Buffer => "buf",
            ModsigDigest => "d-modsig",
            Modsig => "modsig",
            EvmSignature => "evmsig",
            XattrNames => "xattrnames",
            XattrLengths => "xattrlengths",
            XattrValues => "xattrvalues",
            Uid => "iuid",
            Gid => "igid",
            Mode => "imode",
        }
    }

    /// One field for each set of fields that say the same thing.
    fn subject(self) -> Self {
        match self {
            DigestNg | DigestNgV2 => Digest,
            NameNg => Name,
            other => other,
        }
    }
}

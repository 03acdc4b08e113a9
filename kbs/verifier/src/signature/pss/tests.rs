use super::*;
use aws_lc_rs::digest::{SHA256, SHA384, SHA512};
use sealpod_testkit::keys::{Key, Scheme};

/// Signatures over `message` by `ak-rsa`, made with OpenSSL: `openssl dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt
/// rsa_pss_saltlen:max -sign ak-rsa.der -keyform DER`.
const SHA256_LONGEST: &str = "70035de62b96dc9df8dcb80fdc387dc467bb7d6b1079db10c6ca01f11fbc7eeaaeca830e958a95a6c19d26d9f160d1fc\
    0b564e61e665af462e658f3707ea2cb71f6f63258d19cec4fb99ee6ac39ca462dcc39d4a53667454145b235313b3ff42\
    08afe366235fc8105ca1ad48385c9df3f298f4f9ceb9706401fd58faa9776014ba3efe12c070630d1b2604abf56fe46a\
    74b244dd468f144a0beee2d84243ff802468d9844281ed337f608fb5182a3f4f8b4bace1e54637eb6e9c8e2560628a41\
    fba7b59546b8a0dc1cab8266debc7d90bf9cd6981e311217af9f89bd44d0cec62469d229f162e9c04a87e414cb5b5307\
    48322bab1cd642574a7da9d94d4d23df";
const SHA384_LONGEST: &str = "1888e37e16e8cf3aa34b103f6a70e94140aa23a178e9c3a2f46a01719af611f3d0da89ac42220cdef004fa22f861edea\
    b180985031b8b2feaad296258d34693f3f08a183a1ce93fc93b6cf633faf5facabeb74deb1d049a19a7e87e256e1bd88\
    2625a2d9f51499bf13a4791d29ae17dfd5e0582b96b427609679cba6e6750a15154457a1a91d1450fb9065c52bf389cb\
    4c0cf65b772e55a93bd69e8b403fd2ab47e2e1a77c80ac5a5d83d70014be4e41e73d68df481bb5e0f7bbc60f085500bd\
    a40371cf7bd5d8a85c15ab2afece42df4fb6dbab465d55fb223e95aefe2fb40a33ccb7b9d9c8ed319bf16de4c4f1e5ee\
    f5429b62f30513ab4fe51e249f1b326f";
const SHA512_LONGEST: &str = "68ad046b2f39150bf875fd59be6f513e45099022cca167523f100f4cecf334d9f686b68d51f06379024908deec15e2db\
    d91350cf6b4b4379774dd50260a84a76a80bce20426c2e181ff8487aa3d345dcb3d6e907c27ab823baa06f03348faf4b\
    978c1575007a6b2f68713254a13c24a238335e666da432dd85b486d3102368349461a49b13f7b14a9c8887cf3d99307a\
    f36f3f17d116d67cfa1c09ad9dd0f2e77a2af9af06feeab9e7bd7ae03f247d828b619209016db39c183fd7665b8399a2\
    a2075be07c5228aad00f818b7297544b42bd8103870584134bd8ed54cefd408be4deedfb6bbb146005d28adfb7feff35\
    f216ff7802754317b051973c962672bb";
/// One byte of salt less than fits.
const SHA256_SHORTER: &str = "0dbadee8faf793dd46d82221161a2f3369aa6fa2df11bf2b0ffd9ba6aa77abcd678832151c1b3990caa9d06094e47247\
    b7b4f87eb90525a4fe394b27ba4061aada82bac21c05851552e5c124d5c564c0eb39185462105609f6dff4a8c3f0d2e6\
    3fd8caa35e27eb8867b0d40c5e4f33c17b539c155443d28619727c935cff9b8c0ef01b6d6b80816e251147f67af6b650\
    ecc0cda09d9abdea4fe6dc55ea92d783ec0dbe216627cc74659999be7e72aa527beb0d0b4716f5818bef907a69afc10c\
    8a1b88b646c8b92b13e256f0d281798b130545e87f451279efc34fc1589a61085a15d99877c4a211e2b62ec340568d58\
    3558a64650d99146d6793bfd26eaf774";
/// None.
const SHA256_NONE: &str = "59ef34376ff9f3f94fdc37824ff9719be0831a6c073d84333f1f12241abc4d3bbfdbd2d686af5cc64c3f42ff1db9f2fe\
    9e17abdb43adce90c78e306dba2680cb7b8cd921dd85e9021a762a4befefcb267d11f130adf2768099b861f9dcaa52d7\
    d519dd6e8d9e8fd6a3f8bb4bc27ac31b2f1bc86f4b796621c8fdd68bde8e32d07716f13cc958f79f61dc0df4dedcad3d\
    9fdcd42af1c9a5911eae45ffed6d5f3ab093efb944d75e4be9d20cc49a162a0fb9d1f6f3ff24defd17020be0ae3667fb\
    ed775ff6ba6a55416056b4485bbcc5e5ea0cb8c359640bbd642b13ce6f143b2f1190152477f39562e635ae0ca363f532\
    f45362e38327abb65340f32ed0adc171";

fn key() -> Vec<u8> {
    crate::signature::rsa_public_key(&Key::AkRsa.modulus(), 65537).unwrap()
}

fn holds(hash: &'static Algorithm, signature: &[u8]) -> bool {
    verifies_with_longest_salt(&key(), hash, b"message", signature)
}

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

#[test]
fn the_longest_salt_is_taken_with_each_hash_and_no_other_length_is() {
    for (hash, signature) in [(&SHA256, SHA256_LONGEST), (&SHA384, SHA384_LONGEST), (&SHA512, SHA512_LONGEST)]
    {
        assert!(holds(hash, &bytes(signature)));
    }
    assert!(!holds(&SHA384, &bytes(SHA256_LONGEST)));
    for other in [SHA256_SHORTER, SHA256_NONE] {
        assert!(!holds(&SHA256, &bytes(other)));
    }
    assert!(!holds(&SHA256, &Key::AkRsa.sign(Scheme::PssSha256, b"message")));
    assert!(!holds(&SHA256, &Key::AkRsa.sign(Scheme::Pkcs1Sha256, b"message")));
}

#[test]
fn every_bit_of_message_and_signature_counts() {
    let good = bytes(SHA256_LONGEST);
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(!holds(&SHA256, &bad), "bit {bit}");
    }
    assert!(!verifies_with_longest_salt(&key(), &SHA256, b"massage", &good));
    for bad in [&good[1..], &[&[0], good.as_slice()].concat(), &[], &[0xff; 256]] {
        assert!(!holds(&SHA256, bad));
    }
}

#[test]
fn keys_that_are_none_verify_nothing() {
    let good = bytes(SHA256_LONGEST);
    let modulus = Key::AkRsa.modulus();
    let other = |modulus: &[u8], exponent| {
        let key = crate::signature::rsa_public_key(modulus, exponent).unwrap();
        verifies_with_longest_salt(&key, &SHA256, b"message", &good)
    };
    assert!(other(&modulus, 65537));
    assert!(!other(&Key::Ek.modulus(), 65537));
    for exponent in [0, 1, 2, 3, 65536] {
        assert!(!other(&modulus, exponent), "{exponent}");
    }
    let mut even = modulus.clone();
    *even.last_mut().unwrap() &= 0xfe;
    for modulus in [even.as_slice(), &modulus[1..], &[1], &[0xff; 513]] {
        assert!(!other(modulus, 65537));
    }
    let longer = [key().as_slice(), &[0]].concat();
    for key in [&longer, &key()[..20], &[][..], &[0x30, 0]] {
        assert!(!verifies_with_longest_salt(key, &SHA256, b"message", &good));
    }
    // With an exponent of one, a message would be its own signature: made up without any key.
    let mut encoded = vec![0; 256];
    encoded[255] = TRAILER;
    let one = crate::signature::rsa_public_key(&modulus, 1).unwrap();
    assert!(!verifies_with_longest_salt(&one, &SHA256, b"message", &encoded));
}

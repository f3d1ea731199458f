//! Digests, message authentication codes and public-key signatures over a content that lies in pieces.

use aws_lc_rs::digest;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::provider::Algorithm;

/// The signature of `pieces` under a symmetric algorithm; for the others nothing.
pub(crate) fn sign<'p>(algorithm: Algorithm, key: &[u8], pieces: impl Iterator<Item = &'p [u8]>) -> Vec<u8> {
    match algorithm {
        Algorithm::HmacSha1 => mac::<Hmac<Sha1>>(key, pieces),
        Algorithm::HmacSha256 => mac::<Hmac<Sha256>>(key, pieces),
        Algorithm::HmacSha384 => mac::<Hmac<Sha384>>(key, pieces),
        Algorithm::HmacSha512 => mac::<Hmac<Sha512>>(key, pieces),
        Algorithm::Sha256 => {
            let mut hash = Sha256::new();
            pieces.for_each(|piece| hash.update(piece));
            hash.finalize().to_vec()
        }
        Algorithm::Token => key.to_vec(),
        Algorithm::Ed25519 | Algorithm::EcdsaP256Sha256 | Algorithm::RsaSha256 | Algorithm::RsaSha1 => Vec::new(),
    }
}

fn mac<'p, M: Mac + KeyInit>(key: &[u8], pieces: impl Iterator<Item = &'p [u8]>) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length (RFC 2104), so this cannot fail")]
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length");
    joined(pieces, |bytes| mac.update(bytes));
    mac.finalize().into_bytes().to_vec()
}

/// Small pieces joined, at most as many bytes as fit on the stack, because hashing many of them one by one costs more than
/// copying them; large ones as they are.
fn joined<'p>(pieces: impl Iterator<Item = &'p [u8]>, mut take: impl FnMut(&[u8])) {
    let mut buffer = [0; 2048];
    let mut filled = 0;
    for piece in pieces {
        if let Some(room) = buffer.get_mut(filled..filled + piece.len()).filter(|_| piece.len() < 1024) {
            room.copy_from_slice(piece);
            filled += piece.len();
            continue;
        }
        take(buffer.get(..filled).unwrap_or_default());
        filled = 0;
        match buffer.get_mut(..piece.len()).filter(|_| piece.len() < 1024) {
            Some(room) => {
                room.copy_from_slice(piece);
                filled = piece.len();
            }
            None => take(piece),
        }
    }
    take(buffer.get(..filled).unwrap_or_default());
}

/// What public keys verify, ready for any number of keys and signatures.
pub(crate) struct Message {
    verification: &'static dyn VerificationAlgorithm,
    form: Form,
}

enum Form {
    Digest(digest::Digest),
    /// Ed25519 hashes each signature along, and reads its message twice: so it wants it in one piece.
    Whole(Vec<u8>),
}

impl Message {
    /// The message in these pieces; `None` for an algorithm without public keys.
    pub(crate) fn of<'p>(algorithm: Algorithm, pieces: impl Iterator<Item = &'p [u8]>) -> Option<Message> {
        let verification = verification(algorithm)?;
        if algorithm == Algorithm::Ed25519 {
            return Some(Message { verification, form: Form::Whole(pieces.collect::<Vec<_>>().concat()) });
        }
        let digest = if algorithm == Algorithm::RsaSha1 { &digest::SHA1_FOR_LEGACY_USE_ONLY } else { &digest::SHA256 };
        let mut context = digest::Context::new(digest);
        pieces.for_each(|piece| context.update(piece));
        Some(Message { verification, form: Form::Digest(context.finish()) })
    }

    /// Whether any of `signatures` is one under this public key.
    pub(crate) fn fits(&self, key: &[u8], signatures: &[Vec<u8>]) -> bool {
        let key = UnparsedPublicKey::new(self.verification, key);
        signatures.iter().any(|signature| match &self.form {
            Form::Digest(digest) => key.verify_digest(digest, signature).is_ok(),
            Form::Whole(message) => key.verify(message, signature).is_ok(),
        })
    }
}

/// Whether `key` is a public key of this algorithm.
pub(crate) fn is_public_key(algorithm: Algorithm, key: &[u8]) -> bool {
    verification(algorithm).is_some_and(|algorithm| UnparsedPublicKey::new(algorithm, key).parse().is_ok())
}

/// Whether `signature` is an ES256 one (RFC 7518: two numbers of 32 bytes) of `message` under a point on P-256.
pub(crate) fn is_es256(point: &[u8], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature).is_ok()
}

fn verification(algorithm: Algorithm) -> Option<&'static dyn VerificationAlgorithm> {
    match algorithm {
        Algorithm::Ed25519 => Some(&ED25519),
        Algorithm::EcdsaP256Sha256 => Some(&ECDSA_P256_SHA256_ASN1),
        Algorithm::RsaSha256 => Some(&RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RsaSha1 => Some(&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY),
        Algorithm::HmacSha1
        | Algorithm::HmacSha256
        | Algorithm::HmacSha384
        | Algorithm::HmacSha512
        | Algorithm::Sha256
        | Algorithm::Token => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_any_sizes_are_joined_in_their_order() {
        let bytes: Vec<u8> = (0..=255).cycle().take(20_000).collect();
        for sizes in [&[1][..], &[0], &[1023], &[1024], &[1025], &[2048], &[2049], &[1, 5000, 0, 1023, 1023, 3, 1024]] {
            let (mut rest, mut pieces) = (bytes.as_slice(), Vec::new());
            for size in sizes.iter().cycle().take(40) {
                let (piece, behind) = rest.split_at((*size).min(rest.len()));
                pieces.push(piece);
                rest = behind;
            }
            let mut taken = Vec::new();
            joined(pieces.iter().copied(), |bytes| taken.extend_from_slice(bytes));
            assert_eq!(taken, pieces.concat(), "{sizes:?}");
        }
    }
}

//! Whether a file is whole: hashing, and what `warmline models verify` finds.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::Digest;

use super::{ModelFile, Sha256};

/// What is known of a file in the models folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileState {
    /// Right size; and, if it was read, the right digest.
    Whole,
    /// Not there.
    Missing,
    /// Bytes it has instead of its size.
    WrongSize(u64),
    /// Digest it has instead of its own.
    WrongDigest(Sha256),
}

/// Looks at a file's size only.
pub fn glance(folder: &Path, file: &ModelFile) -> FileState {
    match std::fs::metadata(folder.join(&file.name)) {
        Err(_) => FileState::Missing,
        Ok(found) if found.len() == file.size => FileState::Whole,
        Ok(found) => FileState::WrongSize(found.len()),
    }
}

/// Reads the whole file. `read` is told of the bytes as they are read.
pub fn inspect(folder: &Path, file: &ModelFile, read: impl FnMut(u64)) -> io::Result<FileState> {
    match glance(folder, file) {
        FileState::Whole => {}
        broken => return Ok(broken),
    }
    let digest = digest(File::open(folder.join(&file.name))?, u64::MAX, read)?;
    Ok(if digest == file.sha256 { FileState::Whole } else { FileState::WrongDigest(digest) })
}

/// SHA-256 of the next `limit` bytes of `file`, or of what is left of it.
pub(super) fn digest(file: impl Read, limit: u64, mut read: impl FnMut(u64)) -> io::Result<Sha256> {
    let mut hasher = sha2::Sha256::new();
    let mut file = file.take(limit);
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(Sha256::new(hasher.finalize().into())),
            Ok(count) => {
                hasher.update(&buffer[..count]);
                read(count as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_whole_missing_short_or_wrong() {
        let folder = tempfile::tempdir().expect("a folder");
        let file: ModelFile = toml::from_str(
            "name = \"a\"\nsize = 3\nsource = []\n\
             sha256 = \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"\n",
        )
        .expect("a file of the manifest");
        let state = |text: &str| {
            std::fs::write(folder.path().join("a"), text).expect("written");
            let mut bytes = 0;
            let state = inspect(folder.path(), &file, |count| bytes += count).expect("readable");
            (state, bytes)
        };
        assert_eq!(inspect(folder.path(), &file, |_| ()).expect("nothing to read"), FileState::Missing);
        assert_eq!(state("abc"), (FileState::Whole, 3));
        assert_eq!(state("ab"), (FileState::WrongSize(2), 0));
        let (wrong, bytes) = state("abd");
        assert!(matches!(wrong, FileState::WrongDigest(_)) && bytes == 3, "{wrong:?}");
        assert_eq!(glance(folder.path(), &file), FileState::Whole);
    }
}

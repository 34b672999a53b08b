//! Small disks that can be filled to the last byte. Mounting needs root, as CI has; without it these tests fail.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A mounted file system of a few megabytes, gone when it is dropped.
pub struct SmallDisk {
    mount: PathBuf,
    folder: TempDir,
}

impl SmallDisk {
    /// A file system in memory.
    pub fn tmpfs(mebibytes: u32) -> Self {
        let disk = Self::prepare();
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"])
            .arg(&disk.mount));
        disk
    }

    /// An ext4 file system on a loop device, with no blocks kept for root.
    pub fn ext4(mebibytes: u64) -> Self {
        let disk = Self::prepare();
        let image = disk.folder.path().join("image");
        File::create(&image)
            .and_then(|file| file.set_len(mebibytes << 20))
            .expect("an image");
        run(Command::new("mkfs.ext4")
            .args(["-q", "-F", "-m", "0"])
            .arg(&image));
        run(Command::new("mount")
            .args(["-o", "loop"])
            .arg(&image)
            .arg(&disk.mount));
        disk
    }

    fn prepare() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let mount = folder.path().join("mount");
        std::fs::create_dir(&mount).expect("a mount point");
        Self { mount, folder }
    }

    pub fn state_dir(&self) -> PathBuf {
        self.mount.join("state")
    }

    fn filler(&self) -> PathBuf {
        self.mount.join("filler")
    }

    /// Writes until not one more byte is taken.
    pub fn fill(&self) {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.filler())
            .expect("a filler");
        let mut length = 1 << 20;
        while length > 0 {
            match file.write_all(&vec![0x55; length]).and_then(|()| file.sync_all()) {
                Ok(()) => {}
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
                    length /= 2;
                }
            }
        }
        self.assert_full();
    }

    /// Leaves so many bytes free: too few for anything but the names of small files.
    pub fn fill_but(&self, bytes: u64) {
        self.fill();
        let file = OpenOptions::new()
            .write(true)
            .open(self.filler())
            .expect("a filler");
        let length = file.metadata().expect("it is there").len();
        file.set_len(length.saturating_sub(bytes))
            .expect("the filler shrinks");
    }

    pub fn remount_read_only(&self) {
        run(Command::new("mount").args(["-o", "remount,ro"]).arg(&self.mount));
    }

    fn assert_full(&self) {
        let extra = self.mount.join("one-more");
        let error = std::fs::write(&extra, [0; 1]).expect_err("the disk is full to the last byte");
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        let _ = std::fs::remove_file(&extra);
    }

    pub fn free(&self) {
        std::fs::remove_file(self.filler()).expect("the filler goes");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run(Command::new("umount").arg("--lazy").arg(&self.mount));
    }
}

fn run(command: &mut Command) {
    let output = command.output().expect("mount tools are installed");
    assert!(
        output.status.success(),
        "{command:?} fails ({}); this test needs root and loop devices",
        String::from_utf8_lossy(&output.stderr).trim()
    );
}

/// The bytes of a file's blocks on the disk.
pub fn allocated_bytes(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).expect("the file is there").blocks() * 512
}

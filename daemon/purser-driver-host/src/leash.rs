//! Keeps what the driver starts in the process group that the daemon kills as a whole.
//!
//! A driver must not fork (`[T-6]`). One that does all the same could give its child a group or session of its own, and
//! that child would outlive every kill and hold the device. So the two calls that lead out of a group are taken away, for
//! this process and all below it, before any vendor code is loaded. It needs `no_new_privs`, and no privilege.

#![allow(unsafe_code, reason = "no safe call sets a system call filter")]

use std::io;

use libc::{
    BPF_ABS, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, EPERM, PR_SET_SECCOMP,
    SECCOMP_MODE_FILTER, SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO, SYS_setpgid, SYS_setsid, prctl, sock_filter,
    sock_fprog,
};

/// Where `struct seccomp_data` has the number of the call, and where the architecture. Source: seccomp(2).
const AT_NUMBER: u32 = 0;
const AT_ARCHITECTURE: u32 = 4;

/// The architecture that this program is built for. Source: `linux/audit.h`.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xC000_00B7;
#[cfg(target_arch = "riscv64")]
const ARCHITECTURE: u32 = 0xC000_00F3;

/// From here on numbers are those of x32, where the same calls have other numbers; other architectures have none so high.
const X32: u32 = 0x4000_0000;

/// Takes `setsid` and `setpgid` away, and all calls of another architecture; they fail with "not permitted".
///
/// # Errors
/// The system has no seccomp filters; nothing may be loaded then.
pub(crate) fn hold() -> io::Result<()> {
    let refuse = SECCOMP_RET_ERRNO | u32::try_from(EPERM).map_err(io::Error::other)?;
    let call = |number: libc::c_long| u32::try_from(number).map_err(io::Error::other);
    let mut filter = [
        step(BPF_LD | BPF_W | BPF_ABS, AT_ARCHITECTURE, 0, 0),
        step(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 0, 4),
        step(BPF_LD | BPF_W | BPF_ABS, AT_NUMBER, 0, 0),
        step(BPF_JMP | BPF_JGE | BPF_K, X32, 2, 0),
        step(BPF_JMP | BPF_JEQ | BPF_K, call(SYS_setsid)?, 1, 0),
        step(BPF_JMP | BPF_JEQ | BPF_K, call(SYS_setpgid)?, 0, 1),
        step(BPF_RET | BPF_K, refuse, 0, 0),
        step(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0),
    ];
    let program = sock_fprog {
        len: u16::try_from(filter.len()).map_err(io::Error::other)?,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: PR_SET_SECCOMP takes a mode and a filter, which the kernel copies before it returns.
    let done = unsafe { prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &raw const program) };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// One instruction: where its comparison holds, so many are skipped, else so many others.
fn step(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter {
        code: u16::try_from(code).expect("a code of the kernel's own, which has 16 bits"),
        jt,
        jf,
        k,
    }
}

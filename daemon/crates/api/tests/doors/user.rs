//! Clients as other users. Linux keeps credentials per thread, and a socket remembers those of the thread that connected.

use std::future::Future;

use rustix::process::{Gid, Uid};

/// True when this process may become other users.
pub(crate) fn can_become_others() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("not root: what other users may do is tested by the unit tests only");
    }
    is_root
}

/// Runs `work` on a thread of its own that belongs to this user and these groups.
pub(crate) async fn as_user<T: Send + 'static, F: Future<Output = T>>(
    uid: u32,
    gids: &[u32],
    work: impl FnOnce() -> F + Send + 'static,
) -> T {
    let gids: Vec<Gid> = gids.iter().copied().map(Gid::from_raw).collect();
    let (sender, done) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        become_user(uid, &gids);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime can be made");
        drop(sender.send(runtime.block_on(work())));
    });
    done.await.expect("the user's thread answers")
}

fn become_user(uid: u32, gids: &[Gid]) {
    let own = Gid::from_raw(uid);
    rustix::thread::set_thread_groups(gids).expect("root may set groups");
    rustix::thread::set_thread_res_gid(own, own, own).expect("root may set the group");
    let own = Uid::from_raw(uid);
    rustix::thread::set_thread_res_uid(own, own, own).expect("root may become others");
}

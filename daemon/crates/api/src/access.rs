//! Who may do what. The caller is what the kernel or the bus says it is, never what an argument says.

use crate::model::{ErrorName, Fault};

/// The group whose members may sell, where it exists.
pub const POS_GROUP: &str = "purser-pos";

/// The group whose members are operators, where it exists.
pub const OPERATOR_GROUP: &str = "purser-operator";

/// Root's user id.
const ROOT: u32 = 0;

/// Who calls: SO_PEERCRED and SO_PEERGROUPS over Varlink, the bus's credentials over D-Bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The user id.
    pub uid: u32,
    /// The primary and supplementary group ids.
    pub gids: Vec<u32>,
}

/// The rules of access.
///
/// Operators are root, the daemon's own user and members of [`OPERATOR_GROUP`]. Selling is for operators and members of
/// [`POS_GROUP`]. Where that group does not exist, any local user that can reach the door may sell: then the file mode of
/// the socket, and the policy of the bus, decide.
#[derive(Clone, Debug)]
pub struct Access {
    daemon_uid: u32,
    operator_gid: Option<u32>,
    pos_gid: Option<u32>,
}

impl Access {
    /// The rules for a daemon with this user id and these group ids, none where the group does not exist.
    pub fn new(daemon_uid: u32, operator_gid: Option<u32>, pos_gid: Option<u32>) -> Self {
        Self {
            daemon_uid,
            operator_gid,
            pos_gid,
        }
    }

    /// The rules for this process, with the groups as the system knows them now. Reads the user data base: call it at start.
    pub fn look_up() -> Self {
        Self::new(
            nix::unistd::geteuid().as_raw(),
            gid_of(OPERATOR_GROUP),
            gid_of(POS_GROUP),
        )
    }

    /// True for an operator.
    pub(crate) fn is_operator(&self, caller: &Caller) -> bool {
        caller.uid == ROOT || caller.uid == self.daemon_uid || is_member(caller, self.operator_gid)
    }

    /// Whether the caller may sell.
    pub(crate) fn may_sell(&self, caller: &Caller) -> Result<(), Fault> {
        if self.pos_gid.is_none() || self.is_operator(caller) || is_member(caller, self.pos_gid) {
            Ok(())
        } else {
            Err(denied(POS_GROUP))
        }
    }

    /// Whether the caller may do what is for operators only.
    pub(crate) fn may_operate(&self, caller: &Caller) -> Result<(), Fault> {
        if self.is_operator(caller) {
            Ok(())
        } else {
            Err(denied(OPERATOR_GROUP))
        }
    }

    /// Whether the caller may see the books.
    pub(crate) fn may_see_totals(&self, caller: &Caller) -> Result<(), Fault> {
        if self.is_operator(caller) || is_member(caller, self.pos_gid) {
            Ok(())
        } else {
            Err(denied(POS_GROUP))
        }
    }
}

fn gid_of(group: &str) -> Option<u32> {
    match nix::unistd::Group::from_name(group) {
        Ok(found) => found.map(|group| group.gid.as_raw()),
        Err(error) => {
            tracing::warn!(group, %error, "the group cannot be looked up; taken as not existing");
            None
        }
    }
}

fn is_member(caller: &Caller, group: Option<u32>) -> bool {
    group.is_some_and(|gid| caller.gids.contains(&gid))
}

fn denied(group: &str) -> Fault {
    Fault {
        group: Some(group.into()),
        ..Fault::new(
            ErrorName::NotAllowed,
            format!("this needs membership of the group {group}"),
            format!(
                "add the user to {group} (make the group and restart Purser where there is none) and log in again"
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPERATORS: u32 = 900;
    const SELLERS: u32 = 901;

    fn caller(uid: u32, gids: &[u32]) -> Caller {
        Caller {
            uid,
            gids: gids.to_vec(),
        }
    }

    #[test]
    fn root_the_daemon_and_the_group_are_operators_and_nobody_else() {
        let access = Access::new(500, Some(OPERATORS), Some(SELLERS));
        assert!(access.is_operator(&caller(0, &[])));
        assert!(access.is_operator(&caller(500, &[])));
        assert!(access.is_operator(&caller(1000, &[1, OPERATORS])));
        assert!(!access.is_operator(&caller(1000, &[1, SELLERS])));
        assert!(!Access::new(500, None, None).is_operator(&caller(1000, &[0])));
    }

    #[test]
    fn selling_needs_the_group_where_it_exists_and_the_denial_names_it() {
        let access = Access::new(500, None, Some(SELLERS));
        assert_eq!(access.may_sell(&caller(1000, &[SELLERS])), Ok(()));
        assert_eq!(access.may_sell(&caller(0, &[])), Ok(()));
        let denied = access.may_sell(&caller(1000, &[1])).unwrap_err();
        assert!(denied.is(ErrorName::NotAllowed));
        assert_eq!(denied.group.as_deref(), Some(POS_GROUP));
        assert!(denied.remedy.contains(POS_GROUP));
        assert_eq!(Access::new(500, None, None).may_sell(&caller(1000, &[])), Ok(()));
    }

    #[test]
    fn totals_are_for_members_even_where_anybody_may_sell() {
        let open = Access::new(500, None, None);
        assert!(open.may_see_totals(&caller(1000, &[])).is_err());
        assert_eq!(open.may_see_totals(&caller(500, &[])), Ok(()));
        assert_eq!(
            Access::new(500, None, Some(SELLERS)).may_see_totals(&caller(1000, &[SELLERS])),
            Ok(())
        );
    }
}

//! An array that is a member of one object: the way to it, and what follows it. Nothing but the member's name is held,
//! so what else the object has (RedCaps: `info`) may be of any size.

use super::walk::Walk;
use crate::table::error::TableError;

/// From the `{` of the object to the value of its member `wanted`, which comes next.
pub(super) fn enter(walk: &mut Walk, wanted: &str) -> Result<(), TableError> {
    walk.consume(1);
    while let Some(name) = walk.next_member()? {
        if name == wanted.as_bytes() {
            return Ok(());
        }
        walk.skip_value()?;
    }
    Err(walk.malformed(format!("the object has no `{wanted}`; it should be an array of objects")))
}

/// From behind the array to the end of the object that holds it.
pub(super) fn leave(walk: &mut Walk) -> Result<(), TableError> {
    while walk.next_member()?.is_some() {
        walk.skip_value()?;
    }
    Ok(())
}

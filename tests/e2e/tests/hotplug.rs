//! Readers that are pulled out and put back: in every state of a sale, and a thousand times.

use e2e::Fault;
use e2e::hotplug::{Away, sales_while_the_reader_goes};
use e2e::world::World;

#[test]
fn a_reader_may_be_unplugged_in_every_state_of_a_sale() -> Result<(), Fault> {
    let mut world = World::new()?;
    world.stack.start_again()?;
    let mut cable = Away::Cable(world.stack.layout().cable());
    let table = sales_while_the_reader_goes(&mut world, &mut cable)?;
    println!("the reader is unplugged\n{table}");
    Ok(())
}

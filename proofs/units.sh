# The proof units, in the order in which they run. Sourced by ci/proofs.
# unit NAME KIND quick|full "INVARIANTS" FILE OPTIONS...
#   KIND  eva: a driver of proofs/eva, no alarm for any input; wp: contracts of the functions named by -wp-fct, with run-time errors
#         and smoke tests; scan: a program that tries all values; lemmas, admitted: see ci/proofs
# shellcheck shell=bash
unit admitted admitted quick "-" ""
unit scan scan quick "scan_total scan_sens" scan/scan.c sbe/decode.c sbe/isa.c
unit decode eva quick "dec_safe dec_len" eva/decode.c \
    -eva-ilevel 32 -eva-slevel-function decode:50,main:200 -eva-split-return-function decode:0
for device in pic apic rtc acpi pci dma; do
    unit $device eva quick "-" eva/$device.c
done
for device in uart hpet i8042; do
    unit $device eva quick "-" eva/$device.c -eva-slevel-function main:20,${device}_valid:20 -eva-split-return-function ${device}_valid:0
done
unit pit eva quick "-" eva/pit.c -eva-slevel-function main:20,pit_valid:20,pit_channel_valid:20 \
    -eva-split-return-function pit_valid:0,pit_channel_valid:0
unit dma_device eva quick "dev_dma" eva/selftest.c -eva-slevel-function main:20,selftest_valid:20 \
    -eva-split-return-function selftest_valid:0
unit chipset eva full "dev_dma" eva/chipset.c devices/{chipset,chipset_ports,pic,pit,rtc,uart,lapic,ioapic,hpet,acpi,pci,i8042,dma,selftest}.c \
    -eva-slevel-function main:50,find_place:50,read_byte:50,write_byte:50,read_ports:100,write_ports:100,pit_channel_valid:20,pit_valid:20,uart_valid:20,hpet_valid:20,i8042_valid:20,selftest_valid:20,chipset_valid:50 \
    -eva-split-return-function pit_channel_valid:0,pit_valid:0,uart_valid:0,hpet_valid:0,i8042_valid:0,selftest_valid:0,chipset_valid:0,find_place:full
unit lemmas lemmas quick "-" ""
unit physmem wp full "spt_own" wp/physmem.c -wp-fct gpa,gva,physmem_end,physmem_offset,physmem_host,physmem_pointer,physmem_frame,page_part,physmem_is_ram
unit bus_master wp full "dev_dma" wp/bus_master.c -wp-fct page_part,bus_master_read,bus_master_write
unit walk eva quick "spt_perm" eva/walk.c -eva-slevel-function main:20,walk_tables:400,walk_success:400,walk_any:400,physmem_offset:10,physmem_pointer:10,current_format:10,walk_guest:20,walk_guest_path:20 \
    -eva-split-return-function walk_guest:0,walk_guest_path:0,current_format:full,physmem_offset:full
unit msr eva quick "-" eva/msr.c core/{cpuid,cpuid_models}.c @include:stubs/mmu/access.h -eva-slevel-function registers:200
unit msr_find scan full "-" scan/msr.c
unit log eva quick "log_rd" eva/log.c replay/log_format.c \
    -eva-slevel-function main:20,reader_valid:20,log_next:20,decode:20,load:20,load_chunk:30,read_chunk:20,read_payload:20,read_header:20,chunk_get:20,read_machine:20,take_fields:20,skip_images:20,log_seek_icount:20,index_is_sound:20,use:20,next:20 \
    -eva-split-return-function reader_valid:0,load:0,decode:0,log_next:0,load_chunk:0,read_chunk:0,read_header:0,chunk_get:0
unit log_machine eva quick "log_rd" eva/log_machine.c replay/log_format.c -eva-slevel-function main:60
unit shadow_entry wp full "spt_perm spt_own spt_dirty" wp/shadow_entry.c \
    -wp-fct owned,decide,pack,shadow_entry_write,shadow_entry_protect -wp-prover cvc5,cvc4,z3 -wp-timeout 40
unit emit wp full "tc_bounds" wp/emit.c -wp-fct emitter_full,rm_register,rm_memory,rm_indexed,emit8,emit16,emit32,emit64,rex_bits,emit_rex,emit_modrm,emit_op,emit_load,emit_load_32,emit_store,emit_store_32,emit_move,emit_move_32,emit_lea,emit_constant,emit_store_constant_32,emit_shift_x,emit_bits,emit_pext,emit_pdep,emit_jump,emit_jump_if,emit_jrcxz,emit_jump_short,emit_patch_short
unit numbers wp full "log_prefix" wp/numbers.c -wp-fct put_le,get_le,varint_put,chunk_checksum
unit shadow_history scan full "scan_wx spt_perm spt_own spt_self spt_dirty ft_type ft_ref" scan/shadow.c -include string.h mmu/{shadow,shadow_audit,shadow_drop,shadow_entry,shadow_fill,shadow_pool,shadow_space,shadow_trace,walk,walk_memo,physmem,access,tlb,memtable,window}.c
unit code_history scan full "scan_gen scan_cross tc_bounds tc_entry" scan/codecache.c @portable
unit gdb_packet eva quick "-" eva/gdb_packet.c -eva-slevel-function main:20,gdb_feed:40,gdb_put_number:40,gdb_eat:60,gdb_eat_number:60,gdb_eat_hex:100,take_apart:100
unit snapshot eva quick "log_rd" eva/snapshot.c @include:stubs/mmu/access.h -eva-slevel-function main:20,machine_state_valid:20,cpu_valid:20 -eva-split-return-function machine_state_valid:0,cpu_valid:0
unit translator scan full "cpu_mon tc_entry tc_bounds" scan/translate.c @portable
unit descriptors scan full "cpu_mon" scan/descriptors.c @portable
unit frames scan quick "ft_type ft_ref vm_kill" scan/frames.c -include string.h

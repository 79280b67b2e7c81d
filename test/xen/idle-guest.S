/*
 * The smallest guest: a PV kernel that blocks for ever. Building a domain of it takes a fraction of the
 * time that Linux takes, for scenarios in which no guest reads a disk. xen/include/public/elfnote.h has
 * the notes, xen/include/public/sched.h the hypercall.
 */
#define NOTE(type, value)				\
	.pushsection .note.Xen, "a", @note;		\
	.balign 4; .long 4, 2f - 1f, type;		\
	.asciz "Xen"; 1: value; 2: .balign 4;		\
	.popsection

NOTE(1, .quad start)				/* ENTRY */
NOTE(2, .quad hypercalls)			/* HYPERCALL_PAGE */
NOTE(3, .quad 0xffffffff80000000)		/* VIRT_BASE */
NOTE(4, .quad 0xffffffff80000000)		/* PADDR_OFFSET: addresses are linked as virtual ones */
NOTE(5, .asciz "xen-3.0")			/* XEN_VERSION */
NOTE(6, .asciz "idle")				/* GUEST_OS */
NOTE(8, .asciz "generic")			/* LOADER */

	.text
	.balign 4096
hypercalls:
	.skip 4096
	.globl start
start:
	mov $1, %edi				/* SCHEDOP_block */
	xor %esi, %esi
	call hypercalls + 29 * 32		/* sched_op */
	jmp start

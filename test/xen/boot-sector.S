/*
 * The smallest HVM guest: what the BIOS starts from the disk. It says the text of its second sector on the
 * serial line, writes an answer into its second 4096 bytes, says that it has, and halts. Every byte of the disk
 * goes through QEMU. The BIOS's calls are those of its Enhanced Disk Drive interface.
 */
	.code16
	.globl start
start:
	xor %ax, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %ss
	mov $start, %sp
	mov $0x42, %ah				/* read sectors */
	mov $text, %si
	call disk
	mov $ready, %si
	call say
	mov $0x8000, %si
	call say
	mov $0x4300, %ax			/* write sectors, without a look at them afterwards */
	mov $reply, %si
	call disk
	mov $written, %si
	call say
halt:
	hlt
	jmp halt

disk:
	mov $0x80, %dl				/* the first disk */
	int $0x13
	jnc 1f
	mov $failed, %si
	call say
	jmp halt
1:	ret

/* Says the bytes up to a NUL. The BIOS has set up the first serial line. */
say:
	mov $0x3fd, %dx				/* its state: 0x20 is set when it takes the next byte */
1:	in %dx, %al
	test $0x20, %al
	jz 1b
	lodsb
	test %al, %al
	jz 2f
	mov $0x3f8, %dx
	out %al, %dx
	jmp say
2:	ret

/* Where sectors are, for the BIOS: size of this, number of sectors, address in memory, first sector. */
text:	.byte 16, 0
	.word 1, 0x8000, 0
	.quad 1
reply:	.byte 16, 0
	.word 1, answer, 0
	.quad 8

ready:	.asciz "@ready "
written: .asciz "@written\r\n"
failed:	.asciz "@failed\r\n"
answer:	.asciz "from an HVM guest\n"
	.org 510
	.word 0xaa55

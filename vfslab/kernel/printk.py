"""The kernel log.   Linux: kernel/printk/printk.c; dmesg(1) shows it."""

from __future__ import annotations

from vfslab.kernel.sched import cpu

KERN_EMERG, KERN_ALERT, KERN_CRIT, KERN_ERR, KERN_WARNING, KERN_NOTICE, KERN_INFO, KERN_DEBUG = range(8)


def printk(level: int, text: str) -> None:
    """Append one line to the running kernel's log; the oldest lines fall out of a full log."""
    cpu.kernel.log.append((level, text))

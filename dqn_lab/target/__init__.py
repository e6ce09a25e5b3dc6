"""How the target network follows the online one."""

"""The atlas: every structure of the stack, without behaviour. include/uapi holds what programs see."""

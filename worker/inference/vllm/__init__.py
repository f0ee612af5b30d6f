"""vLLM as a runtime: its OpenAI server in a process and an environment of its own, behind the contract of `runtimes`.

launch      runs in vLLM's environment: takes the network away and becomes vLLM
engine      starts it, waits until it answers, starts it again when it ended
wire        its HTTP: tokens in, tokens out; adapters loaded and unloaded
base        what we read of the base model without its weights
adapters    which adapters are loaded, and which goes next
gate        who is answered, who waits, and what each one's time is
runtime     all of it as one `Runtime`
proof       the proof of an adapter, by its log probabilities
"""

# What a borrowed thread runs, and what a thread of our own runs: the source of the bytes in code.py, which a test
# assembles and compares. x86-64, System V. It needs no address: all it uses lies on the stack, or in rdi.

.intel_syntax noprefix
.text

# On entry rsp points, below the red zone of the interrupted code, at five words: a function, its two arguments,
# Py_IsInitialized, and where the thread was. All other registers and flags are those of the interrupted code, which it
# gets back unchanged.
detour:
    pushfq
    push rax
    push rbx
    push rcx
    push rdx
    push rsi
    push rdi
    push rbp
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15                    # 16 words: the function is at rbp + 128
    cld
    mov rbp, rsp
    mov eax, 13                 # how many bytes all vector and floating-point state takes on this processor
    xor ecx, ecx
    cpuid
    mov eax, ebx
    sub rsp, rax
    and rsp, -64
    lea rdi, [rsp + 512]        # the header of that state has to be zero
    xor eax, eax
    mov ecx, 8
    rep stosq
    mov eax, -1
    mov edx, -1
    xsave64 [rsp]
    call [rbp + 152]            # a Python that has not begun, or is over, is not called
    test eax, eax
    je 1f
    mov rdi, [rbp + 136]
    mov rsi, [rbp + 144]
    call [rbp + 128]
1:  mov qword ptr [rsp - 8], 0  # no address of ours stays on the stack: whoever comes next looks for one
    mov eax, -1
    mov edx, -1
    xrstor64 [rsp]
    mov rsp, rbp
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
    pop rbp
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rbx
    pop rax
    popfq
    lea rsp, [rsp + 32]         # changes no flag
    ret 128                     # back, and over the red zone

# A new thread: rdi points at PyGILState_Ensure, PyRun_SimpleString, PyGILState_Release, the text to run, and
# Py_IsInitialized.
thread:
    push rbx
    push rbp
    sub rsp, 8
    mov rbx, rdi
    call [rbx + 32]
    test eax, eax
    je 1f
    call [rbx]
    mov ebp, eax
    mov rdi, [rbx + 24]
    call [rbx + 8]
    mov edi, ebp
    call [rbx + 16]
1:  add rsp, 8
    pop rbp
    pop rbx
    ret
    .balign 8
